/** CLASS DEFINITION, LAYOUT, VIEW: structs in memory, wherever the memory comes from. */

export {
  type ArrayOptions,
  type ArrayType,
  type AtomicType,
  array,
  atomic,
  bytes,
  type FieldType,
  owner,
  type StructClass,
} from "./declare/composite.ts";
export {
  anonymous,
  bits,
  type FieldDecorator,
  type FieldOptions,
  field,
  nested,
  type StructOptions,
  struct,
} from "./declare/decorators.ts";
export { HEADER_CODE, MmapStructure, MmapStructureHeader } from "./declare/header.ts";
export type { SchemaLimits } from "./declare/limits.ts";
export { c_longdouble } from "./declare/long-double.ts";
export { bigEndian, type DeclaredStruct, type MemberSpec, structOf, unionOf } from "./declare/object-form.ts";
export { Struct, Union } from "./declare/struct.ts";
export { chars } from "./declare/text.ts";
export type {
  Anonymous,
  CheckedPath,
  Copied,
  DeepReadonly,
  FieldNames,
  Init,
  InitValue,
  Members,
  Path,
  PathValue,
  Plain,
  PlainValue,
  ReadonlyAtomic,
  ReadonlyCArray,
  ReadonlyNumbers,
} from "./declare/type-utils.ts";
export {
  asNumber,
  type ConvertedType,
  type CType,
  c_bool,
  c_byte,
  c_char,
  c_double,
  c_float,
  c_int,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_long,
  c_longlong,
  c_short,
  c_size_t,
  c_ssize_t,
  c_time_t,
  c_ubyte,
  c_uint,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  c_ulong,
  c_ulonglong,
  c_ushort,
  c_void_p,
  c_wchar,
  convert,
  enumOf,
  type IntegerArray,
  type IntegerType,
  type ScalarType,
  type TypedArray,
  type TypeOf,
  type TypeSchema,
} from "./declare/types.ts";
export { wchars } from "./declare/wide-text.ts";
export { windows } from "./declare/windows.ts";
export {
  alignof,
  assign,
  type BufferSource,
  bytesOf,
  create,
  equals,
  layoutOf,
  loadStructs,
  type ObjectOptions,
  offsetof,
  sizeof,
  toObject,
  type ViewOptions,
  viewOf,
  viewSource,
} from "./functions.ts";
export type { TextEncoding } from "./memory/bytes-backend.ts";
export type { Memory } from "./memory/memory.ts";
export type { MemberSchema, SchemaOptions, StructSchema } from "./schema/schema.ts";
export { structFromSchema } from "./schema/schema-reader.ts";
export { CArray, type StructArray } from "./view/arrays.ts";
export { Atomic, AtomicValue } from "./view/atomic.ts";

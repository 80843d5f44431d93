/** CODEGEN: a layout in the words of other languages, and a C header as classes. */
export { CodegenError } from "./error.ts";
export { type ExportLanguage, exportLanguages, exportStruct, fingerprint } from "./export.ts";
export { type Imported, type ImportOptions, importBinary, importHeader } from "./import/import.ts";

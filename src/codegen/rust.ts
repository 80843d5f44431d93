/** Rust: `#[repr(C)]` declarations that are checked while they are compiled. */
import { escapeText } from "../errors/show.ts";
import { CodegenError } from "./error.ts";
import { isName, nameIn } from "./names.ts";
import { PADDING, type Part, type Placed, piecesOf, place, type Rules } from "./place.ts";
import { type Declaration, type Item, type Plan, type ScalarSpec, type Spec, unwrapped } from "./plan.ts";

const rules: Rules = {
  language: "Rust",
  alignOf,
  bitFields: false,
  packs: [8, 4, 2, 1],
  aligns: { natural: true, packed: false },
  exactAlign: true,
};

function alignOf(spec: Spec): number {
  if (spec.kind === "array") return alignOf(spec.element);
  if (spec.kind === "struct") return spec.struct.align;
  if (spec.kind === "text") return spec.unit;
  return spec.kind === "scalar" ? spec.size : 1;
}

/** The module. @throws CodegenError for what Rust cannot express, naming the member */
export function writeRust(plan: Plan, fingerprint: bigint): string {
  const module = new Module();
  const structs = plan.declarations.flatMap((declaration) => ["", ...module.struct(declaration)]);
  const { name } = plan.root;
  return [
    `//! ${name}: made by shmstruct, which lays out the same bytes. Do not edit: export it again.`,
    "#![allow(dead_code, non_snake_case, non_camel_case_types, non_upper_case_globals)]",
    "",
    "/// The first eight bytes of the SHA-256 of the layout: it is also in every file of this struct.",
    `pub const ${name}_FINGERPRINT: u64 = 0x${fingerprint.toString(16).padStart(16, "0")};`,
    ...[...module.orders.values()].flatMap((lines) => ["", ...lines]),
    ...module.enums.flatMap((lines) => ["", ...lines]),
    ...structs,
    "",
  ].join("\n");
}

class Module {
  /** Types in the other byte order, by name. */
  readonly orders = new Map<string, string[]>();
  readonly enums: string[][] = [];
  readonly #enumNames = new Set<string>();
  /** Those that a packed struct may not contain. */
  readonly #aligned = new Set<Declaration>();
  /** Those with atomics, which cannot be copied. */
  readonly #uncopyable = new Set<Declaration>();

  struct(declaration: Declaration): string[] {
    const { kind, size, align, path } = declaration;
    const name = rustName(declaration.name, path);
    const placed = place(declaration, rules);
    this.#note(declaration, placed);
    const fields = placed.parts.map((part, i) => `    ${this.#field(part, declaration, i)}`);
    return [
      `/// ${size} bytes, aligned to ${align}${declaration.big ? ", big-endian" : ""}.`,
      ...bitFieldsOf(placed),
      `#[repr(${reprOf(placed)})]`,
      ...(this.#uncopyable.has(declaration) ? [] : ["#[derive(Clone, Copy)]"]),
      `pub ${kind} ${name} {`,
      ...fields,
      "}",
      ...checks(declaration, name),
    ];
  }

  #note(declaration: Declaration, { pack, align }: Placed): void {
    const parts = declaration.items.map(({ spec, path }) => ({ spec: unwrapped(spec).innermost, path }));
    for (const { spec, path } of parts) {
      const isAtomic = spec.kind === "scalar" && spec.atomic;
      const struct = spec.kind === "struct" ? spec.struct : undefined;
      if (isAtomic || (struct && this.#uncopyable.has(struct))) this.#uncopyable.add(declaration);
      // Rust's atomics are aligned structs, those of one byte, too.
      if (!isAtomic && !(struct && this.#aligned.has(struct))) continue;
      this.#aligned.add(declaration);
      if (pack !== undefined)
        throw new CodegenError(path, "Rust has no packed struct with an aligned one or an atomic inside");
    }
    if (align < declaration.align) this.#aligned.add(declaration);
  }

  #field(part: Part, declaration: Declaration, i: number): string {
    if (part.kind === "space") return `pub ${PADDING}${i}: [u8; ${piecesOf(part).bytes}],`;
    if (part.kind === "run") return `pub ${part.name}: [u8; ${part.size}],`;
    const { item } = part;
    const type = this.#type(item.spec, item);
    const { innermost } = unwrapped(item.spec);
    const isUncopyable =
      (innermost.kind === "scalar" && innermost.atomic) ||
      (innermost.kind === "struct" && this.#uncopyable.has(innermost.struct));
    const held = declaration.kind === "union" && isUncopyable ? `core::mem::ManuallyDrop<${type}>` : type;
    return `pub ${rustName(item.name, item.path)}: ${held}, // ${item.offset}${note(item)}`;
  }

  #type(spec: Spec, item: Item): string {
    if (spec.kind === "array") return `[${this.#type(spec.element, item)}; ${spec.length ?? 0}]`;
    if (spec.kind === "struct") return rustName(spec.struct.name, item.path);
    if (spec.kind === "opaque") return `[u8; ${spec.size}]`;
    if (spec.kind === "text") return `[${["", "u8", "u16", "", "u32"][spec.unit]}; ${spec.size / spec.unit}]`;
    if (spec.labels) this.#enum(spec, spec.labels, item);
    return this.#scalar(spec, item);
  }

  #scalar({ name, size, as, atomic }: ScalarSpec, { big, path }: Item): string {
    if (size === 16) throw new CodegenError(path, "Rust has no long double");
    const type = typeNames[name] ?? rustInteger(name);
    if (atomic) return `core::sync::atomic::${atomicName(name, as, path)}`;
    if (!big || size === 1) return type;
    return this.#ordered(as === "pointer" ? "u64" : type, size);
  }

  /** A transparent type that says its order and has no other way to its value. */
  #ordered(type: string, size: number): string {
    const name = `${type}_be`;
    const bits = `u${size * 8}`;
    const isFloat = type.startsWith("f");
    const get = isFloat ? `${type}::from_bits(${bits}::from_be(self.0))` : `${type}::from_be(self.0)`;
    const from = isFloat ? "value.to_bits().to_be()" : "value.to_be()";
    this.orders.set(name, [
      `/// A big-endian ${type}.`,
      "#[repr(transparent)]",
      "#[derive(Clone, Copy)]",
      `pub struct ${name}(${isFloat ? bits : type});`,
      `impl ${name} {`,
      `    pub fn get(self) -> ${type} { ${get} }`,
      `    pub fn new(value: ${type}) -> Self { ${name}(${from}) }`,
      "}",
    ]);
    return name;
  }

  #enum(
    { name: stored }: ScalarSpec,
    { name, values }: NonNullable<ScalarSpec["labels"]>,
    { path }: Item,
  ): void {
    if (this.#enumNames.has(name)) return;
    this.#enumNames.add(name);
    const type = rustInteger(stored);
    this.enums.push(
      values.map(
        ([label, value]) => `pub const ${nameIn("Rust", `${name}_${label}`, path)}: ${type} = ${value};`,
      ),
    );
  }
}

const typeNames: Record<string, string> = {
  c_bool: "bool",
  c_float: "f32",
  c_double: "f64",
  c_char: "u8",
  c_wchar: "u32",
  c_void_p: "*mut core::ffi::c_void",
};

const rustInteger = (name: string): string => {
  const [, unsigned, bits] = /^c_(u?)int(\d+)$/.exec(name) ?? [];
  return `${unsigned === "u" ? "u" : "i"}${bits}`;
};

function atomicName(name: string, as: string, path: string): string {
  if (as === "bool") return "AtomicBool";
  if (as === "pointer") return "AtomicPtr<core::ffi::c_void>";
  if (as === "signed") return `AtomicI${rustInteger(name).slice(1)}`;
  if (as === "unsigned") return `AtomicU${rustInteger(name).slice(1)}`;
  throw new CodegenError(path, `Rust has no atomic ${name}`);
}

/** A keyword becomes r#keyword. */
function rustName(name: string, path: string): string {
  if (isName("Rust", name)) return RESERVED.has(name) ? `r#${name}` : name;
  return nameIn("Rust", name, path);
}

const RESERVED = new Set(
  `abstract as async await become box break const continue do dyn else enum extern false final fn for gen if impl in let
loop macro match mod move mut override priv pub ref return static struct trait true try type typeof union unsafe unsized
use virtual where while yield`.split(/\s+/),
);

function reprOf({ declaration, pack, align }: Placed): string {
  if (pack !== undefined) return `C, packed(${pack})`;
  return align < declaration.align ? `C, align(${declaration.align})` : "C";
}

function bitFieldsOf({ parts }: Placed): string[] {
  const runs = parts.flatMap((part) => (part.kind === "run" ? [part] : []));
  return runs.flatMap(({ name, offset, items }) =>
    items.map(({ name: field, bits, spec, big }) => {
      const first = (bits?.offset ?? 0) - offset * 8;
      const type = spec.kind === "scalar" ? spec.name : "";
      const order = big ? ", from the most significant" : "";
      return `/// \`${field}\`: ${bits?.width} bits of \`${name}\` from bit ${first} on${order}, ${type}.`;
    }),
  );
}

function note({ spec }: Item): string {
  const { innermost, dims } = unwrapped(spec);
  const notes: string[] = [];
  if (innermost.kind === "text") notes.push(innermost.encoding);
  if (innermost.kind === "opaque") notes.push(innermost.name);
  if (innermost.kind === "scalar" && innermost.labels) notes.push(innermost.labels.name);
  if (innermost.kind === "scalar" && innermost.converted) notes.push(innermost.converted);
  if (dims[0] === null) notes.push("a flexible array begins here");
  return notes.map((text) => `, ${escapeText(text)}`).join("");
}

function checks({ size, align, items }: Declaration, name: string): string[] {
  const places = items
    .filter(({ bits }) => bits === undefined)
    .map(
      (item) =>
        `    assert!(core::mem::offset_of!(${name}, ${rustName(item.name, item.path)}) == ${item.offset});`,
    );
  return [
    "const _: () = {",
    `    assert!(core::mem::size_of::<${name}>() == ${size});`,
    `    assert!(core::mem::align_of::<${name}>() == ${align});`,
    ...places,
    "};",
  ];
}

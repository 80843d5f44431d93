/** The sections of an ELF file of 64 bits, relocations of debug information applied. */
import { CodegenError } from "../error.ts";

/** Absolute relocations by machine: type to bytes. All else does not occur in debug information of one unit. */
const absolute: Readonly<Record<number, Readonly<Record<number, 4 | 8>>>> = {
  62: { 1: 8, 10: 4, 11: 4 },
  183: { 257: 8, 258: 4 },
};

const SHT_NOBITS = 8;
const SHT_RELA = 4;
const SHF_COMPRESSED = 0x800;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
}

/**
 * The sections by name; of several with one name the first.
 * @param path for messages
 * @throws CodegenError for what is no such file, is damaged or compressed
 */
export function sectionsOf(file: Buffer, path: string): ReadonlyMap<string, Buffer> {
  if (file.length < 64 || file.toString("latin1", 0, 4) !== "\x7fELF")
    throw new CodegenError(path, "it is not an ELF file");
  if (file[4] !== 2 || file[5] !== 1)
    throw new CodegenError(path, "it is not a little-endian ELF file of 64 bits");
  try {
    const sections = tableOf(file);
    const contents = sections.map((section) => contentOf(file, section, path));
    for (const section of sections)
      if (section.type === SHT_RELA) relocate(file, sections, contents, section);
    return new Map(sections.map(({ name }, i) => [name, contents[i] as Buffer] as const).reverse());
  } catch (error) {
    if (error instanceof RangeError)
      throw new CodegenError(path, "the ELF file is damaged", { cause: error });
    throw error;
  }
}

/** A section's bytes, which relocations may change: a copy. */
function contentOf(file: Buffer, { name, type, offset, size }: Section, path: string): Buffer {
  if (type === SHT_NOBITS || !/^\.(debug|BTF|rela\.debug|symtab)/.test(name)) return Buffer.alloc(0);
  if (offset + size > file.length) throw new CodegenError(path, `section ${name} reaches beyond the file`);
  return Buffer.from(file.subarray(offset, offset + size));
}

function tableOf(file: Buffer): Section[] {
  const start = Number(file.readBigUInt64LE(40));
  const [entry, count, names] = [file.readUInt16LE(58), file.readUInt16LE(60), file.readUInt16LE(62)];
  const raw = Array.from({ length: count }, (_, i) => {
    const at = start + i * entry;
    if ((file.readBigUInt64LE(at + 8) & BigInt(SHF_COMPRESSED)) !== 0n) return undefined;
    return {
      nameAt: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
      info: file.readUInt32LE(at + 44),
    };
  });
  const strings = raw[names]?.offset ?? 0;
  return raw.map((section) => ({
    ...(section ?? { type: 0, offset: 0, size: 0, link: 0, info: 0 }),
    name: section === undefined ? "" : textAt(file, strings + section.nameAt),
  }));
}

function relocate(
  file: Buffer,
  sections: readonly Section[],
  contents: Buffer[],
  relocations: Section,
): void {
  const target = contents[relocations.info];
  const symbols = contents[relocations.link];
  const entries = contents[sections.indexOf(relocations)];
  if (target === undefined || target.length === 0 || symbols === undefined || entries === undefined) return;
  const sizes = absolute[file.readUInt16LE(18)] ?? {};
  for (let at = 0; at + 24 <= entries.length; at += 24) {
    const size = sizes[entries.readUInt32LE(at + 8)];
    const symbol = entries.readUInt32LE(at + 12);
    const value = symbols.readBigUInt64LE(symbol * 24 + 8) + entries.readBigInt64LE(at + 16);
    const offset = Number(entries.readBigUInt64LE(at));
    if (size === 4) target.writeUInt32LE(Number(value & 0xffffffffn), offset);
    if (size === 8) target.writeBigUInt64LE(BigInt.asUintN(64, value), offset);
  }
}

/** Text up to its NUL. */
export function textAt(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  if (at > bytes.length || end < 0) throw new RangeError("text beyond the section");
  return bytes.toString("utf8", at, end);
}

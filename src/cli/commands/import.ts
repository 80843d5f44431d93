import { writeSync } from "node:fs";
import { importBinary, importHeader } from "../../codegen/import/import.ts";
import { type Command, define, EXIT } from "../command.ts";
import { escapeText } from "../output.ts";
import { STDOUT, writeOutput } from "../output-file.ts";

const list = (text: string | undefined): string[] | undefined => text?.split(",").map((item) => item.trim());

export const command: Command = define({
  args: "HEADER",
  count: [1, 1],
  details:
    "Classes for the structs of a C header, or of a binary with BTF, as the compiler lays them out. Each has its C name. " +
    "--struct, -I and -D may be given several times.",
  options: {
    struct: {
      type: "string",
      multiple: true,
      value: "NAME,…",
      help: "only these (default: all that the header declares)",
    },
    include: {
      type: "string",
      multiple: true,
      short: "I",
      value: "DIR,…",
      help: "where the header's includes are",
    },
    define: { type: "string", multiple: true, short: "D", value: "NAME=V,…", help: "macros" },
    compiler: { type: "string", value: "CC", help: "gcc or clang (default: the first that is there)" },
    btf: { type: "boolean", help: "HEADER is a binary with a section .BTF" },
    output: { type: "string", short: "o", value: "FILE", help: "write there (default, and -: stdout)" },
  },
  examples: [
    "shmstruct import robot.h -o robot.ts",
    "shmstruct import robot.h --struct robot --struct arm -I include -D WITH_ARM",
    "shmstruct import --btf --struct task_struct /sys/kernel/btf/vmlinux",
  ],
  run([header = ""], { struct, include, define: defines, compiler, btf, output }, out) {
    const options = { structs: list(struct), includes: list(include), defines: list(defines), compiler };
    const { text, refused } = btf ? importBinary(header, options) : importHeader(header, options);
    if (output !== undefined && output !== STDOUT) writeOutput(output, text);
    else if (out.isJson) out.json({ text, refused });
    else out.write(text);
    for (const { name, reason } of refused)
      writeSync(2, `shmstruct: ${escapeText(name)} was left out: ${escapeText(reason)}\n`);
    return refused.length > 0 ? EXIT.differs : EXIT.done;
  },
});

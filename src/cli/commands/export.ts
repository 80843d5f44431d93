import { type ExportLanguage, exportLanguages, exportStruct } from "../../codegen/export.ts";
import { type Command, define, TRUST, UsageError } from "../command.ts";
import { escapeText } from "../output.ts";
import { STDOUT, writeOutput } from "../output-file.ts";
import { SOURCE_HELP } from "../source.ts";
import { schemaOfSource } from "./layout.ts";

export const command: Command = define({
  args: "FORMAT SOURCE",
  count: [2, 2],
  details: `FORMAT: ${exportLanguages.join(", ")}. ${SOURCE_HELP}`,
  options: {
    output: { type: "string", short: "o", value: "FILE", help: "write there (default, and -: stdout)" },
    ...TRUST,
  },
  examples: ["shmstruct export c Robot -o robot.h", "shmstruct export python ./structs.ts#Robot"],
  async run([format = "", source = ""], { output, ...trust }, out) {
    const language = exportLanguages.find((known) => known === format) as ExportLanguage | undefined;
    if (language === undefined)
      throw new UsageError(
        `FORMAT must be one of ${exportLanguages.join(", ")}, got '${escapeText(format)}'`,
      );
    const text = exportStruct(await schemaOfSource(source, trust), language);
    if (output !== undefined && output !== STDOUT) writeOutput(output, text);
    else if (out.isJson) out.json({ format, text });
    else out.write(text);
    return undefined;
  },
});

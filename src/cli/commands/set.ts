import { type Command, define, TIMEOUT, TRUST } from "../command.ts";
import { openForWriting } from "../open.ts";
import { follow, parseValue } from "../paths.ts";

export const command: Command = define({
  args: "FILE PATH VALUE",
  count: [3, 3],
  details:
    "Under the writer lock, checked as by the program's own class. VALUE is text, a number, an enum's label, or JSON.\nA value that begins with a minus sign comes after --.",
  options: {
    ...TIMEOUT,
    ...TRUST,
  },
  examples: [
    "shmstruct set Robot speed 1.5",
    "shmstruct set Robot -- speed -1.5",
    'shmstruct set Robot path \'[{"x":1,"y":2}]\'',
  ],
  run([file = "", path = "", text = ""], values) {
    using inspector = openForWriting(file, values);
    inspector.set(path, parseValue(text, placeOf(inspector, path)));
    return undefined;
  },
});

/** What is at the path; of a document, where members may be added, perhaps nothing. */
function placeOf(inspector: ReturnType<typeof openForWriting>, path: string): ReturnType<typeof follow> {
  const { value } = inspector.look();
  if (inspector.schema !== undefined) return follow(value, inspector.schema, path);
  // What was text stays no text by chance only: a document takes JSON.
  return { value: undefined, type: undefined };
}

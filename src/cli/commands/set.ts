import { type Command, define, TIMEOUT, TRUST } from "../command.ts";
import { openForWriting } from "../open.ts";
import { setText } from "../set-text.ts";

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
    setText(inspector, path, text);
    return undefined;
  },
});

/** Creates the Robot file as soon as the line "go" comes, with the options given as JSON; then counts one up and ends. */
import { Manager, ShmError } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
console.log("ready");
const lines = console[Symbol.asyncIterator]();
await lines.next();
try {
  using manager = new Manager(Robot, options);
  console.log("made");
  await lines.next();
  manager.edit((data) => {
    data.count += 1;
  });
  console.log(`counted ${manager.version}`);
} catch (error) {
  if (!(error instanceof ShmError)) throw error;
  console.log(`${error.code} ${error.message}`);
  await lines.next();
}
process.exit(0);

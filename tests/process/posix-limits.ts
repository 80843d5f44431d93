/** Creates a default queue and prints the error; run under a low RLIMIT_MSGQUEUE. */
import { MessageQueue } from "../../src/posix/index.ts";

try {
  new MessageQueue({ name: null }).unlink();
  console.log("created");
} catch (error) {
  console.log(String(error));
}

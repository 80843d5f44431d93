/** Holds the writer lock of a Robot in DIR until it is killed. */
import { Editor } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const session = new Editor(Robot, { dir: process.argv[2]! }).lock();
console.log("held");
setInterval(() => session.data.count, 1000);

/** Claims a device and holds it until it is killed: `owner-child.ts <dir> <index>`. */
import { Editor } from "../../src/index.ts";
import { Rack } from "../record/rack.ts";

const [dir = ".", index = "0"] = process.argv.slice(2);
const editor = new Editor(Rack, { dir });
console.log(editor.claim(`devices.${Number(index)}.user`) ? editor.ownerId : "taken");
setInterval(() => {}, 1000);

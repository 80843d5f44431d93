/** bun queue-kill-child.ts DIR produce | work, until it is killed */
import { produce, work } from "../queue/kills.ts";

const [dir, role] = process.argv.slice(2) as [string, string];
if (role === "produce") await produce(dir);
else work(dir);

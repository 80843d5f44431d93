/** bun channel-kill-child.ts DIR: publishes until it is killed; says "ready" once */
import { publish } from "../channel/kills.ts";

publish(process.argv[2]!);

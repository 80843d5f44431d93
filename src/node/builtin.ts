/** For Node.js in the place of src/sys/builtin.ts: `process.getBuiltinModule` came with 20.16. */
import * as asyncHooksModule from "node:async_hooks";
import * as fsModule from "node:fs";
import * as osModule from "node:os";
import * as pathModule from "node:path";

export const fs = (): typeof fsModule => fsModule;

export const os = (): typeof osModule => osModule;

export const path = (): typeof pathModule => pathModule;

export const asyncHooks = (): typeof asyncHooksModule => asyncHooksModule;

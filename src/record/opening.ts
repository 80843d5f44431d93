/**
 * What opening a role and using it takes. The first role that is opened loads it, as it is the larger part of the library: a
 * program that only declares structs, or prints its usage, does not pay for files, locks and waiting.
 */
export { plainPath, resolvePath } from "../struct/view/path.ts";
export { Core } from "./core.ts";
export { checkRoleOptions, refuseManagerOptions, roleLayout } from "./options.ts";
export { ReadSession, WriteSession } from "./session.ts";

/**
 * What opening a role takes. The first role that is opened loads it, as it is the larger part of the library: a program
 * that only declares structs, or prints its usage, does not pay for files, locks and waiting.
 */
export { removeSegment } from "../segment/create.ts";
export { segmentInfo } from "../segment/info.ts";
export { listSegments, segmentAt } from "../segment/list.ts";
export { purgeSegment, purgeSegments } from "../segment/purge.ts";
export { waitForFile } from "../segment/wait-for-file.ts";
export { plainPath, resolvePath } from "../struct/view/path.ts";
export { Core } from "./core.ts";
export { backup, canOpen, openAsManager, restore } from "./making.ts";
export { editBySchema, openBySchema } from "./open-by-schema.ts";
export { checkRoleOptions, refuseManagerOptions, roleLayout } from "./options.ts";
export { recordType } from "./record-content.ts";
export { ReadSession, WriteSession } from "./session.ts";

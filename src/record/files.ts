/**
 * What is done with files besides using them: making, finding, describing, copying and removing them. Loaded by the first
 * call that does so.
 */
export { removeSegment } from "../segment/create.ts";
export { segmentInfo } from "../segment/info.ts";
export { listSegments, segmentAt } from "../segment/list.ts";
export { purgeSegment, purgeSegments } from "../segment/purge.ts";
export { waitForFile } from "../segment/wait-for-file.ts";
export { backup, canOpen, openAsManager, restore } from "./making.ts";
export { editBySchema, openBySchema } from "./open-by-schema.ts";
export { recordType } from "./record-content.ts";

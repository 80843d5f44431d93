/** Maps a file for reading and says why it cannot: sparse-reader.ts FILE */
import { openFile } from "../../src/sys/file.ts";
import { O_RDONLY } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";

const path = process.argv[2] ?? "";
try {
  Mapping.map(openFile(path, O_RDONLY), { byteLength: 4096, access: "read", path, reserve: true }).close();
  console.log("mapped");
} catch (error) {
  console.log(String(error));
}

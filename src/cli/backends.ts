/** Gives structs what this runtime has, as the main module does. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";

export const hasBackends = true;

/** Lets other threads run. */
import { lazily } from "./libc/symbols.ts";

const scheduler = lazily({
  // int sched_yield(void);
  sched_yield: { args: [], returns: "i32" },
});

/** Gives the processor to another thread that waits for it, if there is one; otherwise some 0.3 µs. It cannot fail. */
export function yieldProcessor(): void {
  scheduler().sched_yield();
}

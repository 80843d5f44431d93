/**
 * Looks at a state that lasts only so many milliseconds, such as a lease. A machine that is busy may take longer than that before
 * the look: then all is tried again with ten times as many, three times in all. A failure within the time is one at once.
 * @param attempt begins anew each time, with the milliseconds that the state is to last
 * @example await whileItLasts(40, (delayMs) => { queue.push(job, { delayMs }); expect(queue.tryTake()).toBeUndefined(); });
 */
export async function whileItLasts(ms: number, attempt: (ms: number) => unknown): Promise<void> {
  for (let [tries, lastsMs] = [1, ms]; ; tries++, lastsMs *= 10) {
    const began = performance.now();
    try {
      await attempt(lastsMs);
      return;
    } catch (error) {
      const tookMs = performance.now() - began;
      if (tries === 3 || tookMs < lastsMs) throw error;
      console.log(
        `(again) took ${Math.round(tookMs)} ms where ${lastsMs} ms last: ${String(error).slice(0, 200)}`,
      );
    }
  }
}

/** Waits that a signal ends. */

/** Sleeps, but not longer than until the signal. */
export async function sleepOr(signal: AbortSignal, ms: number): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => resolve();
  signal.addEventListener("abort", stop);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", stop);
}

/** Waits for what is under way, but not longer than until the signal. Nothing of it stays with the signal. */
export async function settled(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = (): void => resolve();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  work.then(resolve, reject);
  try {
    await promise;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

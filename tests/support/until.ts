/** Waits, with much patience, for what will happen soon. @throws Error when it does not happen within two minutes */
export async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 120_000; !condition(); await Bun.sleep(1))
    if (performance.now() > end) throw new Error(`waited in vain: ${condition}`);
}

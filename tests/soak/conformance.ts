/**
 * The conformance suite with many tries for each row:
 *
 *     bun tests/soak/conformance.ts [factor = 20] [files | processes | threads | limits | languages]     SEED=… repeats a run
 */
const [factor = "20", part = ""] = process.argv.slice(2);
const { exited } = Bun.spawn([process.execPath, "test", `tests/conformance/${part}`], {
  cwd: `${import.meta.dir}/../..`,
  stdio: ["ignore", "inherit", "inherit"],
  env: { ...process.env, CONFORMANCE: factor },
});
process.exit(await exited);

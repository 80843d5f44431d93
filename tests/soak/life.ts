/**
 * The life of a file by the hundred: 100 migrations under writers and readers, 500 kills of a process that migrates and
 * restores, 1,000 backups under a writer, each restored and compared:
 *
 *     bun tests/soak/life.ts
 */
const { exited } = Bun.spawn([process.execPath, "test", "tests/record/life-under-load.test.ts"], {
  cwd: `${import.meta.dir}/../..`,
  stdio: ["ignore", "inherit", "inherit"],
  env: { ...process.env, LIFE: "1" },
});
process.exit(await exited);

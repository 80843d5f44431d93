// Installs the older compilers, then tries every setting with each of them: `bun run test:package`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const must = (command, args, folder) => {
  const { status, error } = spawnSync(command, args, {
    cwd: fileURLToPath(new URL(folder, import.meta.url)),
    stdio: "inherit",
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
};
must("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], "compilers/");
// The limit is also that of removing the projects, which takes long on a busy machine.
must("../../node_modules/.bin/bun", ["test", "--timeout=300000", "./every-setting.ts"], ".");

/** Other processes for the benchmarks that need some. Run with a role and its arguments, this file is such a process. */
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor } from "../src/index.ts";

const roles: Readonly<Record<string, (dir: string, ...args: string[]) => Promise<void>>> = {
  /** Edits about every millisecond, until it is killed. */
  async writer(dir) {
    using editor = new Editor(DemoMmapStructure, { dir });
    console.log("ready");
    for (let i = 1; ; i++) {
      editor.edit((data) => {
        data.data_int = i;
        data.data_xy.x = i;
      });
      await Bun.sleep(1);
    }
  },
};

/** Starts a process of a role and waits until it says that it is ready. Disposing of it ends it. */
export async function startOther(role: string, ...args: string[]) {
  const child = Bun.spawn([process.execPath, import.meta.filename, role, ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  if (done) throw new Error(`the ${role} ended before it was ready`);
  return {
    child,
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
}

if (import.meta.main) {
  const [name = "", dir = "", ...args] = process.argv.slice(2);
  const role = roles[name];
  if (role === undefined) throw new Error(`no role ${name}`);
  await role(dir, ...args);
}

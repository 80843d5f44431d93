// Builds the site of the documentation into site/: the pages of docs/, the reference from the docstrings, and a search over
// both. Runs on Node.js: `bun run docs`.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const out = join(root, process.argv[2] ?? "site");

/** The parts of docs/; the site shows them in alphabetical order. Pages not named in a part come last in it. */
const parts = {
  guide: {
    title: "Guide",
    text: "How to do things, from the first two processes to large data, containers and bundles.",
    pages: [
      "tutorial",
      "choosing",
      "structs",
      "roles",
      "life-of-a-file",
      "channels",
      "queues",
      "json",
      "mmap",
      "posix",
      "command-line",
      "page",
    ],
    last: ["deployment", "bundles", "troubleshooting", "glossary"],
  },
  interop: {
    title: "Other languages and libraries",
    text: "C, Python and the libraries that shmstruct takes the place of, or works with.",
    pages: ["c", "python"],
    last: [],
  },
  internals: {
    title: "Under the hood",
    text: "The bytes, the protocols and the figures: for those who write another participant, or change this one.",
    pages: [
      "memory-layout",
      "schema",
      "file-format",
      "channel-format",
      "queue-format",
      "locking",
      "memory-order",
      "security",
      "command",
    ],
    last: ["performance"],
  },
};

function must(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", ...options });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** The names of a part's pages, in order. */
function pagesOf(part) {
  const { pages, last } = parts[part];
  const files = readdirSync(join(root, "docs", part)).filter((name) => name.endsWith(".md"));
  const there = files.map((name) => basename(name, ".md")).sort();
  const others = there.filter((name) => ![...pages, ...last].includes(name));
  return [...pages, ...others, ...last].filter((name) => there.includes(name));
}

/** Code for people: without the mark of our tests, and drawings are no TypeScript. */
const readable = (text) =>
  text.replace(/^```(\w*)\n([\s\S]*?)^```$/gm, (_, language, code) => {
    const shown = code.replace(/^\/\/ runnable\n/, "");
    return `\`\`\`${language || "text"}\n${shown}\`\`\``;
  });

/** TypeDoc writes the title itself. */
function withFrontMatter(text, fields) {
  const [, title = "", body = text] = /^# (.*)\n([\s\S]*)$/.exec(text) ?? [];
  const lines = Object.entries({ title: fields.title ?? title.split(": ")[0], ...fields }).map(
    ([name, value]) => `${name}: ${JSON.stringify(value)}`,
  );
  return `---\n${lines.join("\n")}\n---\n${body}`;
}

/** The first paragraph of a page. */
const summaryOf = (text) => /^# .*\n+([^#`|-][\s\S]*?)\n\n/.exec(text)?.[1]?.replaceAll("\n", " ") ?? "";
const titleOf = (text) => /^# (.*)/.exec(text)?.[1] ?? "";

/** A copy of the pages with what TypeDoc wants to know of each. */
function preparePages(folder) {
  cpSync(join(root, "docs"), join(folder, "docs"), { recursive: true });
  const texts = readdirSync(root).filter((name) => name.endsWith(".md") || name === "LICENSE");
  for (const name of texts) cpSync(join(root, name), join(folder, name));
  const readme = join(folder, "README.md");
  writeFileSync(readme, readable(readFileSync(readme, "utf8")));
  for (const [part, { title, text }] of Object.entries(parts)) {
    const pages = pagesOf(part);
    const entries = pages.map((name) => {
      const path = join(folder, "docs", part, `${name}.md`);
      const page = readFileSync(path, "utf8");
      writeFileSync(path, withFrontMatter(readable(page), {}));
      return `- [${titleOf(page)}](${part}/${name}.md): ${summaryOf(page).replace(/\]\((?!https?:|#)/g, `](${part}/`)}`;
    });
    const children = pages.map((name) => `./${part}/${name}.md`);
    const index = `# ${title}\n${text}\n\n${entries.join("\n")}\n`;
    writeFileSync(join(folder, "docs", `${part}.md`), withFrontMatter(index, { title, children }));
  }
}

if (!existsSync(join(here, "node_modules", "typedoc")))
  must("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here });

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const modules = Object.entries(exports)
  .filter(([, target]) => typeof target === "object")
  .map(([name, { types }]) => ({
    name: `shmstruct${name.slice(1)}`,
    path: types.replace("./dist/", "src/").replace(".d.ts", ".ts"),
  }));

const folder = mkdtempSync(join(tmpdir(), "shmstruct-site-"));
try {
  preparePages(folder);
  const config = {
    name: "shmstruct",
    entryPoints: modules.map(({ path }) => join(root, path)),
    tsconfig: join(here, "tsconfig.json"),
    plugin: [join(here, "plugin.mjs")],
    readme: join(folder, "README.md"),
    projectDocuments: Object.keys(parts).map((part) => join(folder, "docs", `${part}.md`)),
    basePath: folder,
    out,
    customCss: join(here, "theme.css"),
    searchInDocuments: true,
    searchInComments: true,
    searchGroupBoosts: { Documents: 20 },
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    skipErrorChecking: true,
    includeVersion: true,
    headings: { readme: false, document: true },
    navigation: { includeCategories: false, includeGroups: false, includeFolders: false },
    sort: ["documents-first", "kind", "alphabetical"],
    kindSortOrder: [
      "Document",
      "Module",
      "Class",
      "Function",
      "Interface",
      "TypeAlias",
      "Enum",
      "Variable",
      "Constructor",
      "Accessor",
      "Method",
      "Property",
    ],
    sortEntryPoints: true,
    treatValidationWarningsAsErrors: true,
    validation: { notExported: false, invalidLink: true, rewrittenLink: true },
    hideGenerator: true,
    githubPages: false,
    highlightLanguages: [
      "typescript",
      "javascript",
      "json",
      "c",
      "cpp",
      "python",
      "bash",
      "shellscript",
      "console",
      "rust",
      "toml",
    ],
    lightHighlightTheme: "github-light",
    darkHighlightTheme: "github-dark",
  };
  const path = join(folder, "typedoc.json");
  writeFileSync(path, JSON.stringify(config, undefined, 2));
  writeFileSync(join(folder, "names.json"), JSON.stringify(modules));
  mkdirSync(out, { recursive: true });
  const env = { ...process.env, SHMSTRUCT_MODULES: JSON.stringify(modules) };
  must(process.execPath, [join(here, "node_modules", "typedoc", "bin", "typedoc"), "--options", path], {
    cwd: root,
    env,
  });
  console.log(`open ${relative(process.cwd(), out) || "."}/index.html`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

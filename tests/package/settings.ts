/** Settings of users' projects under which the package must type-check. */

/** What `bun init` of Bun 1.4 writes. */
export const bunInit = {
  lib: ["ESNext"],
  target: "ESNext",
  module: "Preserve",
  moduleDetection: "force",
  jsx: "react-jsx",
  allowJs: true,
  types: ["bun"],
  moduleResolution: "bundler",
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  noFallthroughCasesInSwitch: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
};

const { allowImportingTsExtensions: _, noEmit: __, jsx: ___, ...emitting } = bunInit;

/** By what is special about each. */
export const settings = {
  "what bun init writes": bunInit,
  "emitting JavaScript with tsc": { ...emitting, outDir: "out", rootDir: ".", declaration: true },
  "lib ES2024": { ...bunInit, lib: ["ES2024"], target: "ES2022" },
  "types of Node.js": { ...bunInit, types: ["node"] },
  NodeNext: { ...emitting, module: "NodeNext", moduleResolution: "NodeNext", outDir: "out", rootDir: "." },
  "checking declarations, too": { ...bunInit, skipLibCheck: false, exactOptionalPropertyTypes: true },
} as const;

/** Both decorator styles. */
export const styles = {
  legacy: { experimentalDecorators: true, emitDecoratorMetadata: true },
  standard: {},
} as const;

/** Whose types a project has: both `types: ["bun"]` and `["node"]` find theirs. */
export const typePackages = ["@types/node", "undici-types", "bun-types"];

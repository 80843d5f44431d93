/** Imports a module and says how long it took. import.ts <path> */
const start = Bun.nanoseconds();
await import(process.argv[2] ?? "");
console.log(JSON.stringify({ import: Bun.nanoseconds() - start }));

export {};

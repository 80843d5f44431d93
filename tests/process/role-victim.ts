/**
 * A writer that is killed: `role-victim.ts <dir> <ledger> <stores>`. With `stores` > 0 it kills itself with SIGKILL
 * at that store, counted over its own stores and those of begin, commit, roll back and repair, whose copies come in
 * pieces; with 0 it edits until somebody else does. Every third edit is rolled back.
 *
 * In the ledger it counts the edits that it began to commit, and those that it knows to be committed.
 */
import { Editor } from "../../src/index.ts";
import { BlockPreImage } from "../../src/record/pre-image.ts";
import { RecordContent } from "../../src/record/record-content.ts";
import { LEDGER, openLedger } from "../record/ledger.ts";
import { Pattern, patternWord, stateOf } from "../record/structs.ts";

const [dir = ".", ledgerPath = "", stores = "0"] = process.argv.slice(2);
const ledger = openLedger(ledgerPath);
using editor = new Editor(Pattern, { dir });
let left = Number(stores);

// A control: the test must notice writers that do not repair.
if (process.env.WITHOUT_REPAIR !== undefined) RecordContent.prototype.repair = () => {};
// Another: of large records, one that does not save a block before its stores.
if (process.env.WITHOUT_SAVE !== undefined) BlockPreImage.prototype.willStore = () => {};

function boundary(): void {
  left -= 1;
  if (left === 0) process.kill(process.pid, "SIGKILL");
}

/** Wraps a function that stores, so that death may come before and after it. */
function watchStores<T extends object, K extends keyof T>(owner: T, name: K): void {
  const original = owner[name] as (...args: unknown[]) => unknown;
  owner[name] = function (this: unknown, ...args: unknown[]) {
    boundary();
    const result = original.apply(this, args);
    boundary();
    return result;
  } as T[K];
}

/** Copies of whole structs are made in four pieces, with a chance to die between them. */
function watchCopies(): void {
  const set = Uint8Array.prototype.set;
  Uint8Array.prototype.set = function (this: Uint8Array, source: Uint8Array, offset = 0) {
    const piece = Math.ceil(source.length / 4);
    for (let from = 0; from < source.length; from += piece) {
      boundary();
      set.call(this, source.subarray(from, from + piece), offset + from);
    }
    boundary();
  } as typeof set;
}

/** The same for copies within the file. */
function watchCopiesWithin(): void {
  const copyWithin = Uint8Array.prototype.copyWithin;
  Uint8Array.prototype.copyWithin = function (this: Uint8Array, to: number, from: number, end = this.length) {
    const piece = Math.ceil((end - from) / 4);
    for (let at = from; at < end; at += piece) {
      boundary();
      copyWithin.call(this, to + at - from, at, Math.min(at + piece, end));
    }
    boundary();
    return this;
  } as typeof copyWithin;
}

if (left > 0) {
  watchCopiesWithin();
  watchStores(Atomics, "store");
  watchStores(Atomics, "add");
  for (const name of ["setInt16", "setInt32", "setFloat64"] as const) watchStores(DataView.prototype, name);
  watchCopies();
}

function edit(turn: number): void {
  editor.edit((data, session) => {
    const count = stateOf(data);
    if (count === undefined) ledger[LEDGER.torn] = 1;
    const next = (count ?? 0) + 1;
    data.count = next;
    const { words } = data;
    for (let i = 0; i < words.length; i++) {
      if (i % 8 === 0 && left > 0) boundary();
      words[i] = patternWord(next, i);
    }
    if (turn % 3 === 2) session.rollback();
    else Atomics.add(ledger, LEDGER.begun, 1);
  });
  if (turn % 3 !== 2) Atomics.add(ledger, LEDGER.done, 1);
}

Atomics.add(ledger, LEDGER.started, 1);
for (let turn = 0; ; turn++) edit(turn);

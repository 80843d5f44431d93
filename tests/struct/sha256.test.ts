/** Against the runtime's own. */
import { expect, test } from "bun:test";
import { sha256 } from "../../src/struct/schema/sha256.ts";

const hex = (bytes: Uint8Array): string => bytes.toHex();

test("the hash of nothing and of abc are those of the standard", () => {
  expect(hex(sha256(new Uint8Array(0)))).toBe(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  expect(hex(sha256(new TextEncoder().encode("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("every length up to three blocks, and a long one, hashes as the runtime does", () => {
  for (const length of [...Array(200).keys(), 65_535]) {
    const message = crypto.getRandomValues(new Uint8Array(Math.min(length, 65_536)));
    expect(hex(sha256(message))).toBe(new Bun.CryptoHasher("sha256").update(message).digest("hex"));
  }
});

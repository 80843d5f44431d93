import { expect, test } from "bun:test";
import { DisconnectedError, Requests } from "../../src/mirror/nats-shared.ts";

test("requests give their answers, and nothing of them stays", async () => {
  const requests = new Requests();
  for (let n = 0; n < 100; n++) expect(await requests.ask(async () => n)).toBe(n);
  const failed = requests.ask(() => Promise.reject(new TypeError("no")));
  await expect(failed).rejects.toThrow(TypeError);
  await Bun.sleep(0);
  expect(requests.count).toBe(0);
});

test("requests that are under way are given up together, and later answers are ignored", async () => {
  const requests = new Requests();
  const late = Promise.withResolvers<number>();
  const both = [requests.ask(() => late.promise), requests.ask(() => late.promise)];
  requests.giveUp(new DisconnectedError("lost"));
  for (const each of both) await expect(each).rejects.toThrow(DisconnectedError);
  late.reject(new Error("late"));
  await Bun.sleep(0);
  expect(requests.count).toBe(0);
  expect(await requests.ask(async () => 1)).toBe(1);
});

import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { afterMs } from "../../src/server/patience.ts";
import { soon } from "../support/until.ts";

test("afterMs() acts once, and a time that was given up never comes", async () => {
  const acts: string[] = [];
  const giveUp = afterMs(5, () => acts.push("given up"));
  giveUp();
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = afterMs(20, () => {
    acts.push("over");
    resolve();
  });
  await soon(promise);
  end();
  assertEquals(acts, ["over"]);
});

test("afterMs() acts after a message that came while the thread was busy", async () => {
  const { port1, port2 } = new MessageChannel();
  const acts: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  port1.on("message", (what) => acts.push(what));
  afterMs(1, () => {
    acts.push("time is over");
    resolve();
  });
  port2.postMessage("message");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
  await soon(promise);
  assertEquals(acts, ["message", "time is over"]);
  port1.close();
  port2.close();
});

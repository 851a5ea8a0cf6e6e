/**
 * A thread that was busy turns nothing that came in time into a timeout: what the kernel holds is
 * looked at before any deadline is judged, and whoever had to wait for the thread gets its time.
 */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  frames,
  lengthPrefixed,
  Multiplexer,
  pipe,
  responder,
  tagged,
  TimeoutError,
} from "../../mod.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { echo, serve } from "../support/serve.ts";
import { soon, stateOf, until } from "../support/until.ts";

/** More than three batches of events. */
const MANY = 200;
const LARGE = 4 * 1024 * 1024;

/** A test in which time passes when it says so, and which gives everything back. */
function timed(name: string, run: (clock: FakeClock) => Promise<void>): void {
  test(name, () => leaks(() => withFakeClock(run)));
}

function pairsWith(count: number, options: Parameters<typeof pairWith>[0]) {
  return Array.from({ length: count }, () => pairWith(options));
}

timed("readTimeoutMs: what came while the thread was busy came in time", async (clock) => {
  const pairs = pairsWith(MANY, { readTimeoutMs: 100 });
  const waits = pairs.map(([a]) => a.reader.wait(1));
  clock.block(20);
  for (const [, b] of pairs) send(b, "x");
  clock.block(1000);
  await soon(Promise.all(waits));
  await closeAll(...pairs.flat());
});

timed("readTimeoutMs: a batch that the turn's end cuts is told before", async (clock) => {
  const pairs = pairsWith(MANY, { readTimeoutMs: 10_000 });
  const waits = pairs.map(([a]) => a.reader.wait(1));
  for (const [, b] of pairs) send(b, "x");
  clock.microsPerLook = 2000; // each look at the clock finds the turn over
  clock.block(100_000);
  await soon(Promise.all(waits));
  clock.microsPerLook = 0;
  await closeAll(...pairs.flat());
});

timed("readTimeoutMs: a message that is read in several events came in time", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 100 });
  const waiting = a.reader.wait(LARGE);
  b.writer.writeBinary(pattern(LARGE));
  b.writer.flush(); // what the kernel takes of it: the rest leaves when `a` has read
  clock.block(1000);
  await soon(waiting);
  await closeAll(a, b);
});

timed("readTimeoutMs still passes for who sent nothing, when the thread is free", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 100 });
  const waiting = a.reader.wait(1);
  waiting.catch(() => {});
  clock.block(1000);
  await clock.advance(99);
  assertEquals(await stateOf(waiting), "pending", "as much time as the thread was away, or all");
  await clock.advance(2);
  assertInstanceOf(await soon(waiting.catch((error) => error)), TimeoutError);
  await closeAll(a, b);
});

timed(
  "readTimeoutMs is put off once: a thread that is always late judges at last",
  async (clock) => {
    const [a, b] = pairWith({ readTimeoutMs: 100 });
    const waiting = a.reader.wait(1);
    waiting.catch(() => {});
    for (let i = 0; i < 2; i++) {
      clock.block(1000);
      await clock.advance(0);
    }
    assertInstanceOf(await soon(waiting.catch((error) => error)), TimeoutError);
    await closeAll(a, b);
  },
);

test("readTimeoutMs passes also where events never end", () =>
  leaks(async () => {
    const pairs = pairsWith(MANY, { onRequest: echo });
    for (const [, b] of pairs) b.setOnRequest(echo);
    const [a, b] = pairWith({ readTimeoutMs: 20 });
    for (const [one] of pairs) send(one, "ball");
    await assertRejects(() => soon(a.reader.wait(1)), TimeoutError);
    await closeAll(a, b, ...pairs.flat());
  }));

timed("idleTimeoutMs: who sent while the thread was busy is not idle", async (clock) => {
  const pairs = pairsWith(MANY, { idleTimeoutMs: 1000 });
  clock.block(500);
  for (const [, b] of pairs) send(b, "x");
  clock.block(10_000);
  await until(() => pairs.every(([a]) => a.reader.length === 1), "the bytes");
  await clock.advance(900);
  assert(pairs.every(([a]) => a.isActive));
  await closeAll(...pairs.flat());
});

timed("writeTimeoutMs: what the peer took while the thread was busy has left", async (clock) => {
  const [a, b] = pairWith({ writeTimeoutMs: 100 });
  b.pauseRead();
  a.writer.writeBinary(pattern(LARGE));
  const flushed = a.writer.flush();
  assertEquals(await stateOf(flushed), "pending");
  b.resumeRead();
  const received = b.reader.wait(LARGE);
  clock.block(1000);
  await soon(Promise.all([flushed, received]));
  await closeAll(a, b);
});

timed("dial(): a connection that was there in time is no timeout", async (clock) => {
  const { loop, listener, served } = serve(echo);
  const { address } = listener;
  const at = address.transport === "tcp" ? `127.0.0.1:${address.port}` : address.path;
  for (const steps of [0, 20]) {
    const dialled = dial("tcp", at, { timeoutMs: 100 });
    for (let i = 0; i < steps; i++) await null; // up to the call of connect
    clock.block(1000);
    await (await soon(dialled)).close();
  }
  await loop.shutdown();
  await served;
});

timed("dial(): a peer that does not answer is given up, when the thread is free", async (clock) => {
  const listener = createListener("tcp", "127.0.0.1:0", { backlog: 1 });
  const { address } = listener;
  const at = address.transport === "tcp" ? `127.0.0.1:${address.port}` : address.path;
  // Nobody accepts: when the queue is full the kernel answers no more.
  const dialled = Array.from({ length: 4 }, () => dial("tcp", at, { timeoutMs: 100 }));
  const ends = dialled.map((each) => each.then((one) => one.close(), (error) => error));
  await clock.advance(50);
  clock.block(1000);
  await clock.advance(101);
  const last = (await soon(Promise.all(ends))).at(-1);
  assertInstanceOf(last, TimeoutError);
  listener.close();
});

timed("Multiplexer.request(): an answer of the same thread, which was busy", async (clock) => {
  const codec = tagged(lengthPrefixed());
  const { loop, listener, served } = serve(responder(codec, (body) => body));
  const { address } = listener;
  const at = address.transport === "tcp" ? `127.0.0.1:${address.port}` : address.path;
  const client = new Multiplexer(await dial("tcp", at), codec, { timeoutMs: 100 });
  const unsent = client.request("one"); // it leaves when the running code has returned
  clock.block(1000);
  assertEquals((await soon(unsent)).length, 3);
  const sent = client.request("three");
  await null;
  clock.block(1000);
  assertEquals((await soon(sent)).length, 5);
  await client.close();
  await loop.shutdown();
  await served;
});

timed("pipe(): what passes while the thread is busy counts for idleTimeoutMs", async (clock) => {
  const [client, a] = pairWith();
  const [b, server] = pairWith();
  a.idleTimeoutMs = b.idleTimeoutMs = 100;
  const piped = pipe(a, b);
  for (let i = 0; i < 3; i++) {
    clock.block(50);
    send(client, "x");
    clock.block(1000);
    assertEquals(await soon(receive(server, 1)), "x");
  }
  await clock.advance(250);
  assertInstanceOf(await soon(piped.catch((error) => error)), TimeoutError);
  await closeAll(client, a, b, server);
});

timed("sendFile(): what the peer took while the thread was busy has left", async (clock) => {
  const { mkdtempSync, rmSync, writeFileSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const directory = mkdtempSync(`${tmpdir()}/netpoll-busy-`);
  writeFileSync(`${directory}/file`, pattern(LARGE));
  const [a, b] = pairWith({ writeTimeoutMs: 100 });
  b.pauseRead();
  const sent = a.sendFile(`${directory}/file`);
  assertEquals(await stateOf(sent), "pending");
  b.resumeRead();
  const received = b.reader.wait(LARGE);
  clock.block(1000);
  assertEquals(await soon(sent), LARGE);
  await soon(received);
  await closeAll(a, b);
  rmSync(directory, { recursive: true });
});

timed("frames(): a frame that came while the thread was busy came in time", async (clock) => {
  const codec = lengthPrefixed();
  const [a, b] = pairWith({ readTimeoutMs: 100 });
  const all = frames(a, codec);
  for (let i = 0; i < 3; i++) {
    const next = all.next();
    clock.block(50);
    codec.encode(b.writer, "hello");
    b.writer.flush();
    clock.block(1000);
    assertEquals((await soon(next)).done, false);
  }
  await all.return();
  await closeAll(a, b);
});

timed("close(): what the peer takes while the thread is busy is taken in time", async (clock) => {
  const [a, b] = pairWith();
  b.pauseRead();
  a.writer.writeBinary(pattern(LARGE));
  a.writer.flush();
  const closed = a.close({ timeoutMs: 100 });
  b.resumeRead();
  const received = b.reader.wait(LARGE);
  clock.block(1000);
  await soon(received);
  assertEquals(await soon(closed), { unsentBytes: 0 });
  await closeAll(a, b);
});

timed("shutdown({ timeoutMs }): a handler whose request came in time answers", async (clock) => {
  const { loop, listener, served } = serve(async ({ reader, writer }: Connection) => {
    await reader.wait(4);
    writer.writeString(reader.readString(4));
    reader.release();
    await writer.flush();
  });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${(address as { port: number }).port}`);
  await send(client, "he");
  await until(() => loop.connectionCount === 1, "the connection");
  const shut = loop.shutdown({ timeoutMs: 100 });
  clock.block(50);
  send(client, "re");
  clock.block(1000);
  assertEquals(await soon(receive(client, 4)), "here");
  assertEquals(await soon(shut), { cut: 0 });
  await client.close();
  await served;
});

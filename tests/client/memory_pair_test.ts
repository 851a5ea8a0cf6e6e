import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  EofError,
  frames,
  lengthPrefixed,
  memoryPair,
  metrics,
  Multiplexer,
  NetpollError,
  ordered,
  pipe,
  responder,
  TimeoutError,
} from "../../mod.ts";
import { run } from "../support/child.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { assertBytes, closeAll, pattern, receive, send } from "../support/pair.ts";
import { receiveAll, sendAll } from "../support/line.ts";
import { soon, stateOf, until } from "../support/until.ts";

const LARGE = 1 << 20;

test("memoryPair() takes what one end sends to the other, both ways, in order", () =>
  leaks(async () => {
    const [a, b] = memoryPair();
    const both = [sendAll(a, pattern(LARGE)), sendAll(b, pattern(LARGE, 7))];
    const [atA, atB] = await soon(Promise.all([receiveAll(a), receiveAll(b)]));
    await Promise.all(both);
    assertBytes(atB, pattern(LARGE));
    assertBytes(atA, pattern(LARGE, 7));
    assertEquals(await a.close(), { unsentBytes: 0 });
    await b.close();
  }));

test("memoryPair() lets flush() wait for room, and tells what was not sent", () =>
  leaks(async () => {
    const [a, b] = memoryPair({ windowBytes: 1000 });
    b.pauseRead();
    a.writer.writeBinary(pattern(3000));
    const flushed = a.writer.flush();
    assertEquals(await stateOf(flushed), "pending");
    assertEquals(await a.close({ timeoutMs: 0 }), { unsentBytes: 2000 });
    await assertRejects(() => flushed, NetpollError);
    b.resumeRead();
    const error = await assertRejects(() => soon(b.reader.wait(3000)), EofError);
    assertEquals((error.cause as { code?: string }).code, "ECONNRESET");
    assertBytes(b.reader.next(b.reader.length), pattern(1000));
    await b.close();
  }));

test("memoryPair() holds no more of what nobody reads than its bounds", () =>
  leaks(async () => {
    const options = { readBufferBytesMax: 64 * 1024 };
    const [a, b] = memoryPair({ second: options, windowBytes: 64 * 1024 });
    a.writer.writeBinary(pattern(4 * LARGE));
    const flushed = a.writer.flush();
    await until(() => b.isReadPaused, "the end that nobody reads pauses");
    assertEquals(await stateOf(flushed), "pending");
    const { sentBytes } = a.metrics();
    assert(sentBytes < LARGE, `${sentBytes}`);
    b.reader.skip(b.reader.length);
    a.reset();
    await closeAll(a, b);
    await assertRejects(() => flushed);
  }));

test("memoryPair() carries frames, multiplexers and pipes", () =>
  leaks(async () => {
    const codec = ordered(lengthPrefixed());
    const [client, front] = memoryPair();
    const [back, server] = memoryPair({ second: { onRequest: responder(codec, (body) => body) } });
    const piped = pipe(front, back);
    const caller = new Multiplexer(client, codec);
    const answers = await soon(
      Promise.all([1, 2, 3].map((each) => caller.request(Uint8Array.of(each)))),
    );
    assertEquals(answers.map((each) => [...each]), [[1], [2], [3]]);
    await caller.close();
    assertEquals(await soon(piped), { aToB: 15, bToA: 15 });
    await closeAll(front, back, server);
  }));

test("memoryPair() gives frames() what came, until the end", () =>
  leaks(async () => {
    const [a, b] = memoryPair();
    const codec = lengthPrefixed();
    for (const text of ["one", "two"]) codec.encode(a.writer, new TextEncoder().encode(text));
    await a.writer.flush();
    await a.closeWrite();
    const read: string[] = [];
    for await (const frame of frames(b, codec)) read.push(new TextDecoder().decode(frame));
    assertEquals(read, ["one", "two"]);
    await closeAll(a, b);
  }));

test("memoryPair() judges deadlines by a clock that is given", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      const [a, b] = memoryPair({ first: { readTimeoutMs: 100, idleTimeoutMs: 6400 } });
      const late = a.reader.wait(1);
      await clock.advance(99);
      assertEquals(await stateOf(late), "pending");
      await clock.advance(2);
      const error = await assertRejects(() => late, TimeoutError);
      assertEquals(error.operation, "read");
      assertEquals(await stateOf(a.closed), "pending");
      await clock.advance(6500);
      await assertRejects(() => soon(a.closed), TimeoutError);
      await closeAll(a, b);
    })
  ));

test("memoryPair() has no descriptor, and says what cannot be done without", () =>
  leaks(async () => {
    const [a, b] = memoryPair();
    const { opened, activeCount } = metrics().connections;
    assertEquals([a.fd, a.metrics().tcp, a.metrics().state], [-1, null, "open"]);
    assertEquals(a.localAddress, { transport: "unix", path: "" });
    assertThrows(() => a.detach(), NetpollError, "it has no descriptor");
    await assertRejects(() => a.startTls("client", true), TypeError);
    a.zeroCopy = "always";
    assertEquals(a.zeroCopyCounts.obstacle, "unsupported");
    const file = new URL("../../LICENSE", import.meta.url).pathname;
    const sent = await soon(a.sendFile(file));
    assertEquals((await receive(b, sent)).length, sent);
    const [c, d] = memoryPair();
    const now = metrics().connections;
    assertEquals([now.opened, now.activeCount], [opened + 2, activeCount + 2]);
    await closeAll(a, b, c, d);
    assertEquals(metrics().connections.activeCount, activeCount - 2);
  }));

test("memoryPair() is refused with options that mean nothing", () => {
  const given = memoryPair as unknown as (options: unknown) => void;
  assertThrows(() => given({ window: 1 }), TypeError, "windowBytes");
  assertThrows(() => given({ windowBytes: 0 }), RangeError);
  assertThrows(() => given({ first: { onRequst: () => {} } }), TypeError, "onRequest");
  assertThrows(() => given({ second: { readTimeoutMs: -1 } }), RangeError);
});

test("memoryPair() tells a reset from an end", () =>
  leaks(async () => {
    const [a, b] = memoryPair();
    await send(a, "before");
    a.reset();
    const error = await assertRejects(() => soon(b.reader.wait(7)), EofError);
    assertEquals((error.cause as { code?: string }).code, "ECONNRESET");
    assertEquals(b.reader.readString(6), "before");
    await b.close();
    const [c, d] = memoryPair();
    await c.closeWrite();
    const ended = await assertRejects(() => soon(d.reader.wait(1)), EofError);
    assertEquals(ended.cause, undefined);
    await send(d, "still");
    assertEquals(await receive(c, 5), "still");
    await closeAll(c, d);
  }));

test("memoryPair() lets the process end while nothing is under way, and not before a deadline", async () => {
  for (const [task, printed] of [["idle", ""], ["deadline", "late\n"], ["messages", "1000\n"]]) {
    const ended = await run(`${root}tests/support/memory_program.ts`, { args: [task!] });
    assertEquals([ended.code, ended.stdout, ended.stderr], [0, `opened\n${printed}`, ""], task);
  }
});

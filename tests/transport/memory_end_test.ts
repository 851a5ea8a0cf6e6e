import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { ChainWriter } from "../../src/buffer/writer.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Event, Interest, type Watcher } from "../../src/poll/watcher.ts";
import { MemoryEnd } from "../../src/transport/memory_end.ts";
import { ReadSize } from "../../src/transport/read_size.ts";
import { receive, send, sending, TAKEN_AWAY } from "../../src/transport/transport.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import { ticks } from "../support/until.ts";

const WINDOW = 4096;

/** An owner that only writes: the test itself sends. */
class Output extends ChainWriter {
  readonly isWritable = true;
  readonly chain: LinkChain;

  constructor(chain = new LinkChain()) {
    super(chain);
    this.chain = chain;
  }

  flush(): Promise<void> {
    this.chain.publish();
    return Promise.resolve();
  }
}

/** Sends as much as there is room for. */
function put(end: MemoryEnd, bytes: Uint8Array): number {
  const output = new Output();
  output.writeBinary(bytes);
  void output.flush();
  const count = send(end, -1, output.chain);
  output.chain.close(CLOSED);
  return count;
}

/** Receives once. The bytes, or the result that is none. */
function get(end: MemoryEnd): Uint8Array | number {
  const input = new LinkChain();
  const count = receive(end, -1, input, new ReadSize(), 0);
  const bytes = new Uint8Array(Math.max(0, count));
  if (count > 0) input.copyOut(bytes, 0, count);
  input.close(CLOSED);
  return count > 0 ? bytes : count;
}

/** A watcher that notes what it is told. */
class Listener implements Watcher {
  readonly fd = -1;
  readonly heard: number[] = [];
  onEvent(events: number): void {
    this.heard.push(events);
  }
  onFailure(error: unknown): void {
    throw error;
  }
}

test("MemoryEnd.send() takes what there is room for, a copy, and says what it was offered", () =>
  leaks(() => {
    const [a, b] = MemoryEnd.pair(WINDOW);
    const bytes = pattern(6000);
    assertEquals(put(a, bytes), WINDOW);
    assertEquals([sending.offeredBytes, sending.wasShort], [6000, true]);
    assertEquals(put(a, bytes), NOT_READY);
    bytes.fill(0);
    assertEquals(b.unreadBytes(), WINDOW);
    const got = get(b) as Uint8Array;
    assertBytes(got, pattern(got.length));
    assertEquals(put(a, pattern(got.length)), got.length);
    a.close();
    b.close();
  }));

test("MemoryEnd.send() refuses a borrowed array that was taken away, behind all that was not", () =>
  leaks(() => {
    const [a, b] = MemoryEnd.pair(1 << 20);
    const output = new Output();
    const array = pattern(8000);
    output.writeBinary(pattern(10));
    output.writeBinary(array);
    void output.flush();
    structuredClone(array, { transfer: [array.buffer as ArrayBuffer] });
    assertEquals(send(a, -1, output.chain), 10);
    assertEquals(send(a, -1, output.chain), TAKEN_AWAY);
    assertBytes(get(b) as Uint8Array, pattern(10));
    output.chain.close(CLOSED);
    a.close();
    b.close();
  }));

test("MemoryEnd.receive() tells bytes first, then the end or the reset, each time it is asked", () =>
  leaks(() => {
    for (const how of ["end", "close", "reset"] as const) {
      const [a, b] = MemoryEnd.pair(WINDOW);
      assertEquals(get(b), NOT_READY);
      put(a, pattern(3));
      if (how === "end") assertEquals(a.shutdownWrite(), 0);
      if (how === "reset") a.resetOnClose(-1, true);
      if (how !== "end") a.close();
      assertEquals(get(b), pattern(3));
      const code = how === "reset" ? -ERRNO.ECONNRESET : 0;
      assertEquals([get(b), get(b)], [code, code]);
      assertEquals(b.failure()?.errno, how === "reset" ? ERRNO.ECONNRESET : undefined);
      const sent = { end: 1, close: -ERRNO.EPIPE, reset: -ERRNO.ECONNRESET };
      assertEquals(put(b, pattern(1)), sent[how]);
      a.close();
      b.close();
    }
  }));

test("MemoryEnd.close() is a reset to a peer whose bytes nobody has received", () =>
  leaks(() => {
    const [a, b] = MemoryEnd.pair(WINDOW);
    put(b, pattern(1));
    a.close();
    assertEquals(get(b), -ERRNO.ECONNRESET);
    b.close();
  }));

test("MemoryEnd tells again for as long as something is of interest, and an edge once", () =>
  leaks(async () => {
    const [a, b] = MemoryEnd.pair(WINDOW);
    const poller = threadPoller();
    const [atA, atB] = [new Listener(), new Listener()];
    a.watch(poller, atA, Interest.NONE);
    b.watch(poller, atB, Interest.READ);
    await ticks(5);
    assertEquals([atA.heard, atB.heard], [[], []]);
    put(a, pattern(WINDOW));
    await ticks(5);
    assert(atB.heard.length > 1 && atB.heard.every((each) => each === Event.READABLE));
    b.modify(poller, 0, -1, Interest.NONE);
    atB.heard.length = 0;
    await ticks(5);
    assertEquals(atB.heard, []);
    b.modify(poller, 0, -1, (Interest.READ | Interest.EDGE) >>> 0);
    await ticks(5);
    assertEquals(atB.heard, [Event.READABLE]);
    // Half of the window, and not each byte, is room.
    a.modify(poller, 0, -1, Interest.WRITE);
    await ticks(5);
    assertEquals(atA.heard, []);
    get(b);
    await ticks(5);
    assert(atA.heard.includes(Event.WRITABLE));
    b.close();
    a.modify(poller, 0, -1, Interest.EDGE);
    atA.heard.length = 0;
    await ticks(5);
    assertEquals(atA.heard, [Event.HANG_UP]);
    a.unwatch();
    b.unwatch();
    a.close();
  }));

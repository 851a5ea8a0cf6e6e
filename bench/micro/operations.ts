/**
 * Single operations of single nouns, for mitata to time.
 *
 * Each is a generator: it makes what it needs, compares the outcome with what is right, yields the
 * function that is timed, and compares the outcome once more.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { AsyncLocalStorage } from "node:async_hooks";
import { currentScope, type Scope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { type Codec, fixedLength, lengthPrefixed, lines, memoryPair, resp } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { EVENTS_PER_WAIT_MAX } from "../../src/core/limits.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Timer, TimerWheel } from "../../src/poll/timer_wheel.ts";
import { Interest, type Watcher } from "../../src/poll/watcher.ts";

/** An operation, for `measure` of mitata. */
export interface Operation {
  /** The noun and what is done with it. */
  readonly name: string;
  /** The number of operations that one call does; 1 unless given. */
  readonly perCall?: number;
  /** Yields the call. */
  prepare(): Generator<() => unknown, void, undefined>;
}

/** An operation with a check of its outcome, which runs before and after the timing. */
function* checked(call: () => unknown, check: () => void): ReturnType<Operation["prepare"]> {
  check();
  yield call;
  check();
}

/** A message passes through a buffer: it is written, flushed, read and released. */
function through(title: string, bytes: number, pass: (buffer: LinkBuffer) => number): Operation {
  return {
    name: `link_buffer: ${title} ${bytes} B`,
    *prepare() {
      using buffer = new LinkBuffer();
      yield* checked(() => pass(buffer), () => {
        assertEquals(pass(buffer), bytes);
        assertEquals(buffer.length, 0);
      });
    },
  };
}

function mallocNext(bytes: number): Operation {
  return through("malloc, flush, next, release", bytes, (buffer) => {
    buffer.malloc(bytes);
    buffer.flush();
    const { length } = buffer.next(bytes);
    buffer.release();
    return length;
  });
}

function writeBinary(bytes: number): Operation {
  const message = new Uint8Array(bytes);
  return through("writeBinary, flush, next, release", bytes, (buffer) => {
    buffer.writeBinary(message);
    buffer.flush();
    const { length } = buffer.next(bytes);
    buffer.release();
    return length;
  });
}

/** A payload passes through a buffer behind its length. */
function frame(bytes: number): Operation {
  return through("frame: uint32, malloc, flush, read both", bytes, (buffer) => {
    buffer.writeUint32BE(bytes);
    buffer.malloc(bytes);
    buffer.flush();
    const { length } = buffer.next(buffer.readUint32BE());
    buffer.release();
    return length;
  });
}

function slice(bytes: number): Operation {
  return through("malloc, flush, slice, close", bytes, (buffer) => {
    buffer.malloc(bytes);
    buffer.flush();
    const part = buffer.slice(bytes);
    const { length } = part;
    part.close();
    buffer.release();
    return length;
  });
}

/** A line passes through a buffer, and is found by its last byte. */
function until(bytes: number): Operation {
  const line = new Uint8Array(bytes).fill(0x61);
  line[bytes - 1] = 0x0a;
  return through("writeBinary, flush, until, release", bytes, (buffer) => {
    buffer.writeBinary(line);
    buffer.flush();
    const { length } = buffer.until(0x0a);
    buffer.release();
    return length;
  });
}

function takeAndRelease(bytes: number, title: string): Operation {
  return {
    name: `block: take and release ${title}`,
    prepare: () =>
      checked(() => blocks.take(bytes).release(), () => {
        const { usedBytes } = blocks.counts();
        const block = blocks.take(bytes);
        assert(block.capacity >= bytes);
        block.release();
        assertEquals(blocks.counts().usedBytes, usedBytes);
      }),
  };
}

/** The view is at another place each time, so that the one before is of no use. */
const newView: Operation = {
  name: "block: a new view of 64 B",
  *prepare() {
    const block = blocks.take(64 * 1024);
    let at = 0;
    const next = () => block.lend(block.offset + (at = at + 64 & 0xffff), 64);
    yield* checked(next, () => assertEquals(next().length, 64));
    block.release();
  },
};

/**
 * A call in the async context of an earlier one, as each call of a handler is. Scopes and functions
 * take turns: of one alone the compilers leave nothing to time.
 */
function inScope(title: string, scopeOf: () => Scope): Operation {
  const count = 8;
  return {
    name: `context: ${title}`,
    perCall: count * count,
    *prepare() {
      const storage = new AsyncLocalStorage<number>();
      const scopes = Array.from({ length: count }, (_, i) => storage.run(i, scopeOf));
      const calls = new Array<number>(count).fill(0);
      const functions = calls.map((_, i) => () => calls[i]! += 1);
      const all = () => {
        for (const scope of scopes) for (const each of functions) scope(each, null, null);
      };
      yield* checked(all, () => {
        const get = (_a: null, _b: null) => storage.getStore();
        assertEquals(scopes.map((scope) => scope(get, null, null)), [...scopes.keys()]);
        assertEquals(new Set(calls).size, 1);
      });
    },
  };
}

/** A call into the library that gives the same result each time. */
function nativeCall(name: string, call: () => number, isRight: (result: number) => boolean) {
  const check = () => assert(isRight(call()), name);
  return { name: `ffi_call: ${name}`, prepare: () => checked(call, check) };
}

/** The result for an address that is not in a slab (errno(3)). */
const EFAULT = 14;

/** A call on a pair of sockets and a block. */
function onPair(
  name: string,
  call: (pair: Int32Array, slab: number, at: number) => number,
): Operation {
  return {
    name: `ffi_call: ${name}`,
    *prepare() {
      const pair = new Int32Array(2);
      assertEquals(native.socketpair(pair), 0);
      const block = blocks.take(1024);
      const once = () => call(pair, block.slab.id, block.offset);
      const right = once();
      yield* checked(once, () => assertEquals(once(), right));
      block.release();
      for (const fd of pair) native.close(fd);
    },
  };
}

/** A descriptor that stays readable, because nobody reads. */
class Ready implements Watcher {
  readonly fd: number;
  readonly other: number;
  events = 0;

  constructor(bytes: number) {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    [this.fd, this.other] = pair as unknown as [number, number];
    if (bytes > 0) native.sendBorrowed(this.other, new Uint8Array(bytes), bytes, 0, bytes, 0);
  }

  onEvent(): void {
    this.events += 1;
  }

  onFailure(error: unknown): void {
    throw error;
  }
}

/** Calls epoll_wait once, and tells the watchers. */
function turn(ready: number, title: string): Operation {
  const count = Math.max(ready, 1);
  return {
    name: `poller_turn: ${title}`,
    perCall: count,
    *prepare() {
      const poller = new Poller();
      const watchers = Array.from({ length: count }, () => new Ready(Math.min(ready, 1)));
      for (const watcher of watchers) poller.add(watcher, Interest.READ);
      yield* checked(() => poller.poll(0, Infinity), () => {
        const before = watchers.map(({ events }) => events);
        assertEquals(poller.poll(0, Infinity), ready);
        const now = watchers.map(({ events }) => events);
        assertEquals(now, before.map((events) => events + Math.min(ready, 1)));
      });
      poller.close();
      for (const { fd, other } of watchers) [fd, other].forEach((one) => native.close(one));
    },
  };
}

const TIMERS = 10_000;
const OWNER = { expired: 0, onTimer: () => void (OWNER.expired += 1) };

/** A wheel with 10 000 timers, and one timer more. */
function loaded(): { wheel: TimerWheel; timer: Timer } {
  const wheel = new TimerWheel(0, () => {});
  for (let i = 0; i < TIMERS; i++) wheel.set(new Timer(OWNER), 60_000 + i);
  return { wheel, timer: new Timer(OWNER) };
}

const setAndCancel: Operation = {
  name: "timer_wheel: set and cancel beside 10 000",
  prepare() {
    const { wheel, timer } = loaded();
    let i = 0;
    const once = () => {
      wheel.set(timer, 1000 + (i++ & 0xfff));
      wheel.cancel(timer);
    };
    return checked(once, () => {
      once();
      assertEquals([wheel.count, timer.isSet], [TIMERS, false]);
    });
  },
};

const setAnew: Operation = {
  name: "timer_wheel: set anew, as each message does",
  prepare() {
    const { wheel, timer } = loaded();
    let i = 0;
    return checked(() => wheel.set(timer, 1000 + (i++ & 0xfff)), () => {
      wheel.set(timer, 5000);
      wheel.set(timer, 6000);
      assertEquals([wheel.count, timer.expiryMs], [TIMERS + 1, 6000]);
    });
  },
};

const expire: Operation = {
  name: "timer_wheel: set and expire",
  perCall: 1000,
  prepare() {
    const wheel = new TimerWheel(0, () => {});
    const timers = Array.from({ length: 1000 }, () => new Timer(OWNER));
    let nowMs = 0;
    const once = () => {
      for (let i = 0; i < timers.length; i++) wheel.set(timers[i]!, nowMs + 1 + i);
      wheel.advance(nowMs += 1000);
    };
    return checked(once, () => {
      const before = OWNER.expired;
      once();
      assertEquals([OWNER.expired - before, wheel.count], [timers.length, 0]);
    });
  },
};

/** Frames that came together are decoded one by one. */
function decode<T>(
  title: string,
  codec: Codec<unknown, T>,
  frame: T,
  isRight: (frame: unknown) => boolean,
  count = 128,
): Operation {
  return {
    name: `codec: decode ${title}`,
    perCall: count,
    *prepare() {
      using buffer = new LinkBuffer();
      for (let i = 0; i < count; i++) codec.encode(buffer, frame);
      buffer.flush();
      const bytes = buffer.readBinary(buffer.length);
      const decodeAll = (look?: (frame: unknown) => void) => {
        let decoded = 0;
        buffer.writeBinary(bytes, { copy: true });
        buffer.flush();
        for (let frame; (frame = codec.decode(buffer)) !== undefined; decoded++) look?.(frame);
        buffer.release();
        return decoded;
      };
      yield* checked(() => decodeAll(), () => {
        assertEquals(decodeAll((frame) => assert(isRight(frame), title)), count);
      });
    },
  };
}

const SMALL = new Uint8Array(64).map((_, i) => 32 + i);
const LARGE = new Uint8Array(1 << 20).map((_, i) => i * 7);
const COMMAND = ["SET", "key:000000000001", SMALL];

function same(bytes: Uint8Array) {
  return (frame: unknown) => Buffer.compare(frame as Uint8Array, bytes) === 0;
}

/** A line comes byte by byte, and is looked for after each: its cost must not grow with its length. */
function dribble(bytes: number): Operation {
  return {
    name: `codec: a byte of a line of ${bytes} B that comes byte by byte`,
    perCall: bytes,
    *prepare() {
      using buffer = new LinkBuffer();
      const codec = lines();
      const put = (byte: number) => {
        buffer.writeUint8(byte);
        buffer.flush();
        return codec.decode(buffer);
      };
      const line = () => {
        for (let i = 1; i < bytes; i++) put(97);
        const length = put(10)?.length;
        buffer.release();
        return length;
      };
      yield* checked(line, () => assertEquals(line(), bytes - 1));
    },
  };
}

/** Messages of a call: a single one would be timed together with the way into a turn and out of it. */
const PAIR_MESSAGES = 512;

/** Messages go to an echo in memory, so many at once, and come back. */
function throughPair(bytes: number, atOnce: number): Operation {
  return {
    name: `memory_pair: ${bytes} B to an echo or back, ${atOnce} at once`,
    perCall: PAIR_MESSAGES,
    *prepare() {
      const [client, server] = memoryPair();
      const message = LARGE.subarray(0, bytes);
      let count = 0;
      server.setOnRequest(({ reader, writer }) => {
        for (; reader.length >= bytes; count++) writer.writeBinary(reader.next(bytes));
        void writer.flush();
        reader.release();
      });
      const { reader, writer } = client;
      yield async () => {
        const before = count;
        while (count < before + PAIR_MESSAGES / 2) {
          for (let i = 0; i < atOnce; i++) {
            writer.writeBinary(message);
            void writer.flush();
          }
          await reader.wait(bytes * atOnce);
          reader.skip(bytes * (atOnce - 1));
          assert(same(message)(reader.next(bytes)), "the echo is what was sent");
          reader.release();
        }
      };
      assertEquals(reader.length, 0);
      client.reset();
      server.reset();
    },
  };
}

/** All of them, in the order of the page. */
export const OPERATIONS: readonly Operation[] = [
  mallocNext(64),
  mallocNext(16 * 1024),
  writeBinary(64),
  writeBinary(1024),
  frame(1024),
  slice(1024),
  until(64),
  takeAndRelease(1024, "1 KiB"),
  takeAndRelease(64 * 1024, "64 KiB"),
  newView,
  inScope("a call through a scope", currentScope),
  inScope("a call through AsyncLocalStorage.snapshot", () => AsyncLocalStorage.snapshot()),
  nativeCall("no argument, no work", () => native.abi(), (abi) => abi > 0),
  // The hot path's four integers, with a slab that does not exist.
  nativeCall(
    "recv, refused before the system call",
    () => native.recv(0, 0xfff, 0, 1),
    (result) => result === -EFAULT,
  ),
  onPair("recv, nothing there", (pair, slab, at) => native.recv(pair[0]!, slab, at, 64)),
  onPair("send and recv 64 B, Unix pair", (pair, slab, at) => {
    native.send(pair[1]!, slab, at, 64, 0);
    return native.recv(pair[0]!, slab, at, 64);
  }),
  turn(0, "nothing is ready"),
  turn(1, "1 event"),
  turn(EVENTS_PER_WAIT_MAX, "an event, a batch at a time"),
  setAndCancel,
  setAnew,
  expire,
  decode("length-prefixed, 64 B", lengthPrefixed(), SMALL, same(SMALL)),
  decode("length-prefixed, 1 MiB", lengthPrefixed(), LARGE, same(LARGE), 2),
  decode("fixed, 64 B", fixedLength(64), SMALL, same(SMALL)),
  decode("lines, 64 B", lines(), SMALL, same(SMALL)),
  decode("RESP, SET of 64 B", resp(), COMMAND, (frame) => same(SMALL)((frame as Uint8Array[])[2]!)),
  dribble(4096),
  throughPair(64, 1),
  throughPair(64, 16),
  throughPair(16 * 1024, 1),
];

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { configure, createListener } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { config } from "../../src/core/config.ts";
import { STEPS_PER_CLOCK } from "../../src/core/limits.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { SystemError } from "../../src/core/errors.ts";
import { EVENTS_PER_WAIT_MAX } from "../../src/core/limits.ts";
import { Poller } from "../../src/poll/poller.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { Event, Interest, type Watcher } from "../../src/poll/watcher.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { descriptorCount, leaks, threadCount } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { ticks, until } from "../support/until.ts";

/** Two ends of a stream, and whoever watches the first. */
class Pair implements Watcher, Disposable {
  readonly fd: number;
  readonly other: number;
  readonly events: number[] = [];
  readonly failures: unknown[] = [];
  token = -1;
  onEach: (events: number) => void = () => {};

  constructor() {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    [this.fd, this.other] = pair as unknown as [number, number];
  }

  onEvent(events: number): void {
    this.events.push(events);
    this.onEach(events);
  }

  onFailure(error: unknown): void {
    this.failures.push(error);
  }

  /** The other end sends a byte. */
  send(): void {
    assertEquals(native.sendBorrowed(this.other, new Uint8Array(1), 1, 0, 1, 0), 1);
  }

  /** Reads the byte. */
  take(): void {
    const block = blocks.take(1024);
    assertEquals(native.recv(this.fd, block.slab.id, block.offset, 1), 1);
    block.release();
  }

  [Symbol.dispose](): void {
    native.close(this.fd);
    native.close(this.other);
  }
}

/** A poller of the test's own that is polled by hand: no turn of its pace comes in between. */
function withPoller(run: (poller: Poller) => void): void {
  const poller = new Poller();
  try {
    run(poller);
  } finally {
    poller.close();
  }
}

/** Polls, and tells of everything that is ready now. */
function poll(poller: Poller): number {
  return poller.poll(0, Infinity);
}

const READ_WRITE = Interest.READ | Interest.WRITE;

// ---- what epoll tells ---------------------------------------------------------------------------

test("add() after remove() reports to the new watcher (netpoll 171)", () =>
  withPoller((poller) => {
    using first = new Pair();
    const second: Pair = Object.assign(Object.create(Pair.prototype), { fd: first.fd, events: [] });
    second.onEach = () => {};
    poller.remove(poller.add(first, Interest.READ), first.fd);
    poller.add(second, Interest.READ);
    first.send();
    assertEquals(poll(poller), 1);
    assertEquals(first.events, []);
    assertEquals(second.events, [Event.READABLE]);
  }));

test("modify() twice reports what the last one wants (netpoll 172)", () =>
  withPoller((poller) => {
    using pair = new Pair();
    const token = poller.add(pair, Interest.READ);
    poller.modify(token, pair.fd, Interest.NONE);
    poller.modify(token, pair.fd, Interest.WRITE);
    pair.send();
    poll(poller);
    assertEquals(pair.events, [Event.WRITABLE]);
    poller.modify(token, pair.fd, Interest.READ);
    poll(poller);
    assertEquals(pair.events, [Event.WRITABLE, Event.READABLE]);
  }));

test("a socket is writable; readable too with bytes; ended too when its peer is gone (netpoll 173)", () =>
  withPoller((poller) => {
    const listener = createListener("tcp", "127.0.0.1:0");
    using peer = new RawPeer(listener);
    const fd = native.accept(listener.fd, new Uint32Array(31));
    const events: number[] = [];
    const watcher = { fd, onEvent: (event: number) => void events.push(event), onFailure() {} };
    poller.add(watcher, READ_WRITE);
    poll(poller);
    peer.send("x");
    poll(poller);
    peer.close();
    poll(poller);
    assertEquals(events, [
      Event.WRITABLE,
      Event.READABLE | Event.WRITABLE,
      Event.READABLE | Event.WRITABLE | Event.PEER_ENDED, // and neither ERROR nor HANG_UP
    ]);
    native.close(fd);
    listener.close();
  }));

test("a watcher that turns from reading to writing, to both and back hears what it wants (netpoll 177)", () =>
  withPoller((poller) => {
    using pair = new Pair();
    const token = poller.add(pair, Interest.READ);
    const steps = [Interest.WRITE, READ_WRITE, Interest.WRITE, Interest.READ];
    assertEquals(poll(poller), 0); // there is room to write, and nobody has asked
    pair.send();
    for (const interest of steps) {
      poller.modify(token, pair.fd, interest);
      assertEquals(poll(poller), 1);
    }
    native.shutdown(pair.other, 2);
    poll(poller);
    const both = Event.READABLE | Event.WRITABLE;
    assertEquals(pair.events, [
      Event.WRITABLE,
      both,
      Event.WRITABLE,
      Event.READABLE,
      Event.READABLE | Event.PEER_ENDED | Event.HANG_UP,
    ]);
  }));

test("EDGE tells once of a peer that is gone, and nothing of our own close (netpoll 174)", () =>
  withPoller((poller) => {
    const pair = new Pair();
    const token = poller.add(pair, Interest.READ | Interest.EDGE);
    native.close(pair.other);
    poll(poller);
    poll(poller);
    assertEquals(pair.events, [Event.READABLE | Event.PEER_ENDED | Event.HANG_UP]);
    poller.remove(token, pair.fd);
    native.close(pair.fd);
    assertEquals(poll(poller), 0);
    assertEquals(pair.events.length, 1);
  }));

test("a descriptor that was closed and whose number came back has only its own events (netpoll 176)", () =>
  withPoller((poller) => {
    const before = new Pair();
    const { fd } = before;
    before.send();
    poller.add(before, Interest.READ);
    native.close(fd); // without remove(): epoll forgets it by itself, we do not
    native.close(before.other);
    using after = new Pair();
    assertEquals(after.fd, fd);
    poller.add(after, Interest.READ);
    after.send();
    poll(poller);
    assertEquals(before.events, []);
    assertEquals(after.events, [Event.READABLE]);
  }));

test("an event of the same batch does not reach a descriptor that took over slot and number", () =>
  withPoller((poller) => {
    const [first, second] = [new Pair(), new Pair()];
    const successors: Pair[] = [];
    // Whoever is told first closes the other one; number and slot of that go to a third.
    const replace = (victim: Pair) => () => {
      if (successors.length > 0) return;
      poller.remove(victim.token, victim.fd);
      native.close(victim.fd);
      native.close(victim.other);
      const successor = new Pair();
      assert(successor.fd === victim.fd || successor.other === victim.fd);
      successor.token = poller.add(successor, Interest.READ);
      successors.push(successor);
    };
    for (const [pair, victim] of [[first, second], [second, first]] as const) {
      pair.token = poller.add(pair, Interest.READ);
      pair.onEach = replace(victim);
      pair.send();
    }
    assertEquals(poll(poller), 1);
    assertEquals(first.events.length + second.events.length, 1);
    assertEquals(successors.map(({ events }) => events), [[]]);
    assertEquals(successors[0]!.token & 0xfffff, first.events.length ? second.token : first.token);
    successors[0]!.send(); // and its own events do come
    poll(poller);
    assertEquals(successors[0]!.events, [Event.READABLE]);
    for (const pair of [first, second]) if (pair.events.length > 0) pair[Symbol.dispose]();
    successors[0]![Symbol.dispose]();
  }));

test("remove() within a batch keeps back the events that were seen already", () =>
  withPoller((poller) => {
    const pairs = Array.from({ length: 4 }, () => new Pair());
    for (const pair of pairs) {
      pair.token = poller.add(pair, Interest.READ);
      pair.send();
      pair.onEach = () => {
        for (const other of pairs) if (other !== pair) poller.remove(other.token, other.fd);
      };
    }
    assertEquals(poll(poller), 1);
    assertEquals(poll(poller), 1);
    assertEquals(pairs.map(({ events }) => events.length).sort(), [0, 0, 0, 2]);
    for (const pair of pairs) pair[Symbol.dispose]();
  }));

test("add() gives slots back, and no token twice in a row, over 2048 watchers (netpoll 184)", () =>
  withPoller((poller) => {
    const pairs = Array.from({ length: 2048 }, () => new Pair());
    for (let round = 0; round < 3; round++) {
      const before = pairs.map(({ token }) => token);
      for (const pair of pairs) pair.token = poller.add(pair, Interest.READ | Interest.EDGE);
      assertEquals(poller.watcherCount, 2048);
      assertEquals(new Set(pairs.map(({ token }) => token)).size, 2048);
      assert(pairs.every(({ token }, i) => !before.includes(token) || token !== before[i]));
      const slots = pairs.map(({ token }) => token & 0xfffff);
      assertEquals(Math.max(...slots), 2050); // three belong to the poller itself
      for (const pair of pairs) pair.send();
      let told = 0;
      while (told < 2048) told += poll(poller);
      assertEquals(pairs.filter(({ events }) => events.length !== round + 1), []);
      for (const pair of pairs) pair.take();
      for (const pair of pairs) poller.remove(pair.token, pair.fd);
      assertEquals(poller.watcherCount, 0);
      assertEquals(poll(poller), 0);
    }
    for (const pair of pairs) pair[Symbol.dispose]();
  }));

test("poll() takes a batch of events at a time, and all in the end (netpoll 186)", () =>
  withPoller((poller) => {
    const pairs = Array.from({ length: 2 * EVENTS_PER_WAIT_MAX + 7 }, () => new Pair());
    for (const pair of pairs) {
      pair.token = poller.add(pair, Interest.READ | Interest.EDGE);
      pair.send();
    }
    const told = [poll(poller), poll(poller), poll(poller), poll(poller)];
    assertEquals(told, [EVENTS_PER_WAIT_MAX, EVENTS_PER_WAIT_MAX, 7, 0]);
    assert(pairs.every(({ events }) => events.length === 1));
    for (const pair of pairs) pair[Symbol.dispose]();
  }));

test("poll() stops at its deadline, and tells the rest next time without asking again", () =>
  withPoller((poller) => {
    const pairs = Array.from({ length: EVENTS_PER_WAIT_MAX }, () => new Pair());
    for (const pair of pairs) {
      poller.add(pair, Interest.READ);
      pair.send();
    }
    const waits = poller.counts.waits;
    let told = 0;
    for (let left = EVENTS_PER_WAIT_MAX; left > 0; left = poller.untoldCount) {
      const more = poller.poll(-1, 0);
      assert(0 < more && more <= STEPS_PER_CLOCK, `${more} of ${left}`);
      told += more;
      assertEquals(poller.untoldCount, EVENTS_PER_WAIT_MAX - told);
    }
    assertEquals(poller.counts.waits - waits, 1);
    assert(pairs.every(({ events }) => events.length === 1));
    for (const pair of pairs) pair[Symbol.dispose]();
  }));

// ---- again --------------------------------------------------------------------------------------

test("again() calls with the next batch, once, without waiting and beside other events", () =>
  withPoller((poller) => {
    using pair = new Pair();
    using other = new Pair();
    poller.add(pair, Interest.READ);
    poller.add(other, Interest.READ);
    pair.onEach = (events) => {
      if (events !== 0) poller.again(pair);
    };
    pair.send();
    poll(poller);
    assertEquals(pair.events, [Event.READABLE]);
    pair.take(); // nothing is ready any more
    assertEquals(poller.poll(-1, Infinity), 1); // would wait for ever
    assertEquals(pair.events, [Event.READABLE, 0]);
    assertEquals(poll(poller), 0);
    poller.again(pair);
    other.send();
    assertEquals(poller.poll(-1, Infinity), 2);
    assertEquals(other.events, [Event.READABLE]);
  }));

test("again() for ever keeps nobody else from being told", () =>
  withPoller((poller) => {
    using greedy = new Pair();
    using other = new Pair();
    poller.add(greedy, Interest.READ);
    poller.add(other, Interest.READ);
    greedy.onEach = () => poller.again(greedy);
    poller.again(greedy);
    other.send();
    poll(poller);
    assertEquals(other.events, [Event.READABLE]);
    assertEquals(greedy.events, [0]);
  }));

test("again() brings a turn, although no event ever comes", () =>
  leaks(async () => {
    const poller = threadPoller();
    using pair = new Pair();
    const token = poller.add(pair, Interest.READ);
    await ticks(50);
    poller.again(pair);
    await until(() => pair.events.length === 1, "the call");
    assertEquals(pair.events, [0]);
    poller.remove(token, pair.fd);
  }));

// ---- what goes wrong ----------------------------------------------------------------------------

test("a watcher that throws is told to give up; the others are told what happened to theirs", () =>
  withPoller((poller) => {
    const lines: string[] = [];
    const { log } = config;
    configure({ log: (line) => lines.push(line) });
    const pairs = Array.from({ length: 3 }, () => new Pair());
    for (const [i, pair] of pairs.entries()) {
      poller.add(pair, Interest.READ | Interest.EDGE);
      pair.send();
      pair.onEach = () => {
        throw new Error(`on purpose ${i}`);
      };
    }
    pairs[1]!.onFailure = () => {
      throw new Error("and again");
    };
    assertEquals(poll(poller), 3);
    configure({
      log: () => {
        throw new Error("the log fails, too");
      },
    });
    for (const pair of pairs) pair.send();
    assertEquals(poll(poller), 3);
    configure({ log });
    assertEquals(pairs.map(({ failures }) => failures.length), [2, 0, 2]);
    assertEquals(lines.map((line) => /on purpose \d|and again/.exec(line)![0]), [
      "on purpose 0",
      "on purpose 1",
      "and again",
      "on purpose 2",
    ]);
    for (const pair of pairs) pair[Symbol.dispose]();
  }));

test("setTimer() calls at its time, although nothing was ever watched", async () => {
  const poller = new Poller();
  let isOver = false;
  poller.setTimer(new Timer({ onTimer: () => isOver = true }), 1);
  await until(() => isOver, "the timer");
  poller.close();
});

test("a timer that throws keeps no other from expiring, then or later", () =>
  leaks(async () => {
    const lines: string[] = [];
    const { log } = config;
    configure({ log: (line) => lines.push(line) });
    const poller = threadPoller();
    using pair = new Pair(); // timers alone keep no process alive, and no poller awake
    const token = poller.add(pair, Interest.READ);
    const expired: number[] = [];
    const timers = Array.from({ length: 4 }, (_, i) =>
      new Timer({
        onTimer: () => {
          expired.push(i);
          if (i < 2) throw new Error("on purpose");
        },
      }));
    for (const timer of timers.slice(0, 3)) poller.setTimer(timer, 5);
    await until(() => expired.length === 3, "three timers");
    poller.setTimer(timers[3]!, 1);
    await until(() => expired.length === 4, "a later timer");
    configure({ log });
    assertEquals([...expired].sort(), [0, 1, 2, 3]);
    assertEquals(lines.length, 2);
    poller.remove(token, pair.fd);
  }));

test("add() refuses what cannot be watched, and is as it was", () =>
  withPoller((poller) => {
    using pair = new Pair();
    const closed = { fd: 1 << 20, onEvent() {}, onFailure() {} };
    assertEquals(assertThrows(() => poller.add(closed, 1), SystemError).code, "EBADF");
    const token = poller.add(pair, Interest.READ);
    assertEquals(assertThrows(() => poller.add(pair, 1), SystemError).code, "EEXIST");
    assertEquals(poller.watcherCount, 1);
    poller.remove(token, pair.fd);
    assertEquals(poller.watcherCount, 0);
  }));

test("remove() forgets a descriptor that somebody else has closed", () =>
  withPoller((poller) => {
    const pair = new Pair();
    const token = poller.add(pair, Interest.READ);
    pair[Symbol.dispose]();
    poller.remove(token, pair.fd);
    assertEquals(poller.watcherCount, 0);
  }));

faultTest(
  "add() without a descriptor for the waker fails, and the next one tries again",
  async () => {
    const poller = new Poller();
    using pair = new Pair();
    failWith("thread", ERRNO.EMFILE);
    assertEquals(assertThrows(() => poller.add(pair, Interest.READ), SystemError).code, "EMFILE");
    assertEquals(poller.watcherCount, 0);
    poller.add(pair, Interest.READ);
    pair.send();
    await until(() => pair.events.length > 0, "the event");
    poller.close();
  },
);

faultTest("new Poller() leaves nothing behind, when the kernel refuses one of its parts", () => {
  for (const [call, skip] of [["epollCreate", 0], ["timerfd", 0], ["epollCtl", 0]] as const) {
    const before = descriptorCount();
    failWith(call, ERRNO.EMFILE, { skip });
    const error = assertThrows(() => new Poller());
    assertInstanceOf(error, SystemError);
    assertEquals(descriptorCount(), before, call);
  }
});

test("close() leaves no thread and no descriptor, and tells nobody anything more (netpoll 178)", async () => {
  const before = { descriptors: descriptorCount(), threads: threadCount() };
  for (let i = 0; i < 5; i++) {
    const poller = new Poller();
    using pair = new Pair();
    using other = new Pair();
    for (const each of [pair, other]) {
      each.onEach = () => poller.close();
      poller.add(each, Interest.READ);
      each.send();
    }
    await until(() => pair.events.length + other.events.length > 0, "an event");
    await ticks(3);
    assertEquals(pair.events.length + other.events.length, 1);
  }
  // Not more: what tests before this one have closed may have been counted still.
  await until(() => descriptorCount() <= before.descriptors, "the descriptors are closed");
  assertLessOrEqual(threadCount(), before.threads);
});

faultTest("a poller whose waker cannot be armed looks for events by itself", async () => {
  const poller = new Poller();
  using pair = new Pair();
  failWith("eventfdWrite", ERRNO.EBADF, { count: 3 });
  poller.add(pair, Interest.READ);
  pair.send();
  await until(() => pair.events.length > 0, "the event");
  poller.close();
});

test("close() of a poller that was never used leaves nothing", () => {
  const before = descriptorCount();
  new Poller().close();
  assertEquals(descriptorCount(), before);
});

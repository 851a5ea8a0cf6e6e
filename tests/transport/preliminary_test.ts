import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { ClosedError, type NetpollError, TimeoutError } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Interest } from "../../src/poll/watcher.ts";
import { type OnEnd, Preliminary } from "../../src/transport/preliminary.ts";
import { leaks } from "../support/leaks.ts";
import { until } from "../support/until.ts";

/** Ends when a byte is there, and notes all that it hears. */
class UntilReadable extends Preliminary {
  readonly counted: (NetpollError | null)[] = [];
  steps = 0;

  constructor(fd: number, timeoutMs: number, onEnd: OnEnd) {
    super(threadPoller(), fd, { operation: "header", timeoutMs }, onEnd);
  }

  protected step(): void {
    this.steps += 1;
    this.watch(Interest.READ);
    if (native.readable(this.fd) > 0) this.end(null);
  }

  protected count(error: NetpollError | null): void {
    this.counted.push(error);
  }
}

/** Runs one over a pair of sockets. */
function over(
  timeoutMs: number,
  run: (one: UntilReadable, other: number, ended: unknown[]) => void | Promise<void>,
): Promise<void> {
  return leaks(async () => {
    const pair = new Int32Array(2);
    native.socketpair(pair);
    const ended: unknown[] = [];
    const one = new UntilReadable(pair[0]!, timeoutMs, (error) => void ended.push(error));
    await run(one, pair[1]!, ended);
    native.close(pair[0]!);
    native.close(pair[1]!);
  });
}

test("Preliminary ends once, is counted once, and steps no more", () =>
  over(60_000, async (one, other, ended) => {
    one.begin();
    assertEquals([one.steps, ended], [1, []]);
    native.sendBorrowed(other, Uint8Array.of(1), 1, 0, 1, 0);
    await until(() => ended.length === 1, "it ends");
    one.onEvent();
    one.onTimer();
    one.onFailure(new ClosedError("late"));
    one.cancel(new ClosedError("late"));
    assertEquals([ended, one.counted, one.steps], [[null], [null], 2]);
  }));

test("Preliminary ends with a TimeoutError of its operation when its time is over", () =>
  over(10, async (one, _, ended) => {
    one.begin();
    await until(() => ended.length === 1, "it is given up");
    assertInstanceOf(ended[0], TimeoutError);
    assertEquals([ended[0].operation, one.counted.length], ["header", 1]);
  }));

test("Preliminary.cancel() is silent without an error, tells one that it is given, and counts neither", () =>
  over(0, (one, _, ended) => {
    one.begin();
    one.cancel();
    one.cancel(new ClosedError("late"));
    assertEquals([ended, one.counted], [[], []]);
  }));

test("Preliminary ends with the error of what cannot be watched", () =>
  leaks(() => {
    const ended: unknown[] = [];
    new UntilReadable(-1, 0, (error) => void ended.push(error)).begin();
    assertEquals((ended[0] as { code?: string }).code, "EBADF");
  }));

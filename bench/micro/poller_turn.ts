/**
 * A poller's turn: one epoll_wait and what is told of it.
 */
import { assertEquals } from "@std/assert";
import { native } from "../../ffi/load.ts";
import { EVENTS_PER_WAIT_MAX } from "../../src/core/limits.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Interest, type Watcher } from "../../src/poll/watcher.ts";
import type { Micro } from "../harness/micro.ts";

/** A descriptor that is readable for ever: nobody reads. */
class Ready implements Watcher {
  readonly fd: number;
  readonly #other: number;
  events = 0;

  constructor(bytes: number) {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    this.fd = pair[0]!;
    this.#other = pair[1]!;
    if (bytes > 0) native.sendBorrowed(this.#other, new Uint8Array(bytes), bytes, 0, bytes, 0);
  }

  onEvent(): void {
    this.events += 1;
  }

  onFailure(error: unknown): void {
    throw error;
  }

  close(): void {
    native.close(this.fd);
    native.close(this.#other);
  }
}

function turn(ready: number, title: string): Micro {
  return {
    name: `poller_turn: ${title}`,
    perRun: Math.max(ready, 1),
    prepare() {
      const poller = new Poller();
      const watchers = Array.from(
        { length: Math.max(ready, 1) },
        () => new Ready(Math.min(ready, 1)),
      );
      for (const watcher of watchers) poller.add(watcher, Interest.READ);
      return {
        check() {
          const before = watchers.map(({ events }) => events);
          assertEquals(poller.poll(0, Infinity), ready);
          const now = watchers.map(({ events }) => events);
          assertEquals(now, before.map((events) => events + Math.min(ready, 1)));
        },
        run(times) {
          for (let i = 0; i < times; i++) poller.poll(0, Infinity);
        },
        close() {
          poller.close();
          for (const watcher of watchers) watcher.close();
        },
      };
    },
  };
}

/** All of this noun. */
export const POLLER_TURN: readonly Micro[] = [
  turn(0, "nothing is ready"),
  turn(1, "1 event"),
  turn(EVENTS_PER_WAIT_MAX, "an event, a batch at a time"),
];

import { assertEquals, assertGreater } from "@std/assert";
import { readlinkSync } from "node:fs";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { Waker } from "../../src/poll/waker.ts";
import { leaks } from "../support/leaks.ts";
import { ticks, until } from "../support/until.ts";

/** A waker of an epoll descriptor that an eventfd makes ready, and how many bytes came. */
async function withWaker(
  action: (waker: Waker, bell: number, bytes: () => number) => Promise<void>,
): Promise<void> {
  const epoll = native.epollCreate();
  const bell = native.eventfd();
  assertEquals(native.epollCtl(epoll, 1, bell, 7, 1), 0);
  let count = 0;
  const waker = new Waker(epoll, () => count += 1);
  try {
    await action(waker, bell, () => count);
  } finally {
    waker.close();
    native.close(bell);
    native.close(epoll);
  }
}

test("arm() brings a byte when the epoll descriptor becomes ready, and no second one", () =>
  leaks(() =>
    withWaker(async (waker, bell, bytes) => {
      waker.keepAlive(true);
      waker.arm();
      await ticks(10);
      assertEquals(bytes(), 0);
      native.counterAdd(bell);
      await until(() => bytes() > 0, "a byte");
      await ticks(10);
      assertEquals(bytes(), 1);
      waker.keepAlive(false);
    })
  ));

test("ring() brings a byte without an event", () =>
  leaks(() =>
    withWaker(async (waker, _, bytes) => {
      assertEquals(waker.ring(), true);
      await until(() => bytes() === 1, "a byte");
    })
  ));

test("loop is the epoll descriptor of the runtime, once a byte has come", () =>
  leaks(() =>
    withWaker(async (waker, _, bytes) => {
      waker.ring();
      await until(() => bytes() === 1, "a byte");
      assertGreater(waker.loop, 0);
      assertEquals(readlinkSync(`/proc/self/fd/${waker.loop}`), "anon_inode:[eventpoll]");
    })
  ));

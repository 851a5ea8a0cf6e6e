import { assertEquals, assertGreater } from "@std/assert";
import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import { native } from "../../ffi/load.ts";
import { configure } from "../../mod.ts";
import { Poller } from "../../src/poll/poller.ts";
import { RuntimeLoop } from "../../src/poll/runtime_loop.ts";
import { Interest } from "../../src/poll/watcher.ts";
import { leaks } from "../support/leaks.ts";
import { ticks, until } from "../support/until.ts";

function timer(): void {
  setTimeout(() => {}, 0);
}

interface Scene {
  readonly runtime: RuntimeLoop;
  readonly seen: {
    ticked: number;
    woken: number;
    added: number[];
    wanted: boolean[];
    onTicked: () => void;
  };
}

/** The loop of this thread, found unless `refuses`, and what it told. */
async function withLoop(
  action: (scene: Scene) => Promise<void>,
  { refuses = false } = {},
): Promise<void> {
  const epoll = native.epollCreate();
  const seen: Scene["seen"] = { ticked: 0, woken: 0, added: [], wanted: [], onTicked() {} };
  const set = {
    addRuntime: (loop: number) => (seen.added.push(loop), !refuses),
    wantRuntime: (on: boolean) => void seen.wanted.push(on),
  };
  const bell = native.eventfd();
  native.counterAdd(bell);
  assertEquals(native.epollCtl(epoll, 1, bell, 7, 1), 0);
  const onTicked = () => (seen.ticked += 1, seen.onTicked());
  const runtime = new RuntimeLoop(epoll, set, onTicked, () => seen.woken += 1);
  try {
    runtime.giveThread(); // the epoll descriptor is ready: it is woken at once
    await until(() => seen.woken === 1, "it is woken");
    await action({ runtime, seen });
  } finally {
    runtime.close();
    native.close(bell);
    native.close(epoll);
  }
}

/** Gives a tick, and waits for its end. */
async function tick({ runtime, seen }: Scene): Promise<void> {
  const { ticked } = seen;
  runtime.giveTick();
  await until(() => seen.ticked > ticked, "a tick");
}

test("giveThread() finds the runtime's descriptor when it is woken, once", () =>
  leaks(() =>
    withLoop(async ({ runtime, seen }) => {
      assertEquals(runtime.isHeard, true);
      runtime.giveThread();
      await until(() => seen.woken === 2, "it is woken again");
      assertEquals(seen.added.length, 1);
    })
  ));

test("isHeard is false where the descriptor cannot be added", () =>
  leaks(() =>
    withLoop((scene) => {
      assertEquals([scene.runtime.isHeard, scene.seen.added.length], [false, 1]);
      return tick(scene);
    }, { refuses: true })
  ));

test("configure({ watchRuntime: false }) looks for no descriptor", () =>
  leaks(async () => {
    configure({ watchRuntime: false });
    try {
      await withLoop(async (scene) => {
        assertEquals([scene.runtime.isHeard, scene.seen.added], [false, []]);
        scene.runtime.want(true);
        await tick(scene);
        assertEquals(scene.seen.wanted, []);
      });
    } finally {
      configure({ watchRuntime: true });
    }
  }));

test("want() tells the set of changes alone", () =>
  leaks(() =>
    withLoop(({ runtime, seen }) => {
      for (const on of [true, false, false, true, true]) runtime.want(on);
      assertEquals(seen.wanted, [false, true]);
      runtime.giveThread();
      assertEquals(seen.wanted, [false, true, false]);
      return Promise.resolve();
    })
  ));

test("giveTick() runs what was begun before", () =>
  leaks(() =>
    withLoop(async (scene) => {
      const ran: string[] = [];
      setImmediate(() => ran.push("immediate"));
      process.nextTick(() => ran.push("nextTick"));
      queueMicrotask(() => ran.push("microtask"));
      await tick(scene);
      assertEquals(ran.sort(), ["immediate", "microtask", "nextTick"]);
    })
  ));

test("isBusy is true when something was begun since the last tick, and false otherwise", () =>
  leaks(() =>
    withLoop(async ({ runtime, seen }) => {
      const begun = { nothing: () => {}, immediate: () => void setImmediate(() => {}), timer };
      const plan = ["nothing", "nothing", "immediate", "nothing", "timer", "nothing"] as const;
      const states: boolean[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      // All of it in the ticks themselves: whoever waits for them by a timer begins something, too.
      seen.onTicked = () => {
        if (states.length === plan.length) return resolve();
        begun[plan[states.length]!]();
        runtime.giveTick();
        states.push(runtime.isBusy);
      };
      runtime.giveTick();
      await promise;
      assertEquals(states.slice(1), [false, true, false, true, false]);
    })
  ));

test("isReady gives the runtime's sockets a tick", () =>
  leaks(() =>
    withLoop(async (scene) => {
      for (let i = 0; i < 3; i++) {
        scene.runtime.isReady = true;
        await tick(scene);
        assertEquals(scene.runtime.isBusy, true);
        scene.runtime.want(true);
        assertEquals(scene.runtime.isReady, false);
      }
      await ticks(3);
      assertGreater(scene.seen.ticked, 2);
    })
  ));

test("addRuntime() refuses what would watch the poller in a circle, and what is no descriptor", () => {
  const epolls = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
      } catch {
        return false; // the listing's own descriptor
      }
    });
  const before = epolls();
  const poller = new Poller();
  const own = Number(epolls().find((fd) => !before.includes(fd)));
  const loop = native.epollCreate();
  assertEquals(native.epollCtl(loop, 1, own, 1, 1), 0);
  assertEquals(poller.addRuntime(loop), false); // ELOOP
  assertEquals(poller.addRuntime(-1), false);
  native.close(loop);
  poller.wantRuntime(true); // of a loop that is closed: nothing happens
  assertEquals(poller.poll(0, Infinity), 0);
  poller.close();
});

/** A poller whose turn ends, once, between the taking of an event and its telling. */
class Interrupted extends Poller {
  isDue = true;
  toldAt = -1;
  #untoldCount = 0;

  override get untoldCount(): number {
    return this.#untoldCount;
  }

  override poll(micros: number, deadline: number): number {
    if (this.isDue) {
      this.isDue = false;
      this.#untoldCount = 1;
      this.pace.onRuntimeReady();
      return 0;
    }
    if (this.#untoldCount === 1) {
      this.#untoldCount = 0;
      this.toldAt = this.pace.counts.colds;
    }
    return super.poll(micros, deadline);
  }
}

test("a pace does not go cold with an event that was taken and not told: an edge comes once", () =>
  leaks(async () => {
    const poller = new Interrupted();
    const fd = native.eventfd();
    const onEvent = () => void native.counterTake(fd);
    const token = poller.add({ fd, onEvent, onFailure() {} }, Interest.READ);
    const { colds } = poller.pace.counts;
    native.counterAdd(fd);
    await until(() => poller.toldAt >= 0, "it is told");
    assertEquals(poller.toldAt, colds);
    poller.remove(token, fd);
    poller.close();
    native.close(fd);
  }));

import { assert, assertEquals, assertThrows } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Channel as NodeChannel,
  channel,
  hasSubscribers,
  subscribe,
  tracingChannel,
  unsubscribe,
} from "node:diagnostics_channel";
import { test } from "node:test";
import { Channel, Trace, type TraceMessage } from "../../src/core/channel.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";

function nothing(): void {}

/** The ways to begin and to end listening to a channel. */
const WAYS: Record<string, (name: string) => readonly [begin: () => void, end: () => void]> = {
  "by the name": (name) => [() => subscribe(name, nothing), () => unsubscribe(name, nothing)],
  "by the channel": (name) => [
    () => channel(name).subscribe(nothing),
    () => channel(name).unsubscribe(nothing),
  ],
  "by a store": (name) => {
    const store = new AsyncLocalStorage<unknown>();
    return [() => channel(name).bindStore(store), () => channel(name).unbindStore(store)];
  },
  "by a tracingChannel": (name) => {
    const parts = ["end", "asyncStart", "asyncEnd", "error"].map((part) =>
      [part, channel(`${name}:${part}`)] as const
    );
    const traced = tracingChannel(
      {
        start: channel(name),
        ...Object.fromEntries(parts) as Record<"end", NodeChannel>,
      } as Parameters<typeof tracingChannel>[0],
    );
    const subscribers = { start: nothing } as Parameters<typeof traced.subscribe>[0];
    return [() => traced.subscribe(subscribers), () => void traced.unsubscribe(subscribers)];
  },
};

for (const [way, listen] of Object.entries(WAYS)) {
  test(`Channel.isHeard is true while somebody listens ${way}`, () => {
    const name = `netpoll-test:${way}`;
    let changes = 0;
    const ours = new Channel(name, () => changes += 1);
    const [begin, end] = listen(name);
    const another = () => {};
    for (let round = 0; round < 2; round++) {
      assertEquals([ours.isHeard, hasSubscribers(name)], [false, false]);
      begin();
      assertEquals(ours.isHeard, true);
      subscribe(name, another);
      unsubscribe(name, another);
      assertEquals(ours.isHeard, true, "one of two has left");
      end();
      assertEquals(ours.isHeard, false);
    }
    assert(changes >= 8, `${changes} changes`);
  });
}

test("Channel.isHeard knows of whoever listened before there was one", () => {
  subscribe("netpoll-test:before", nothing);
  assertEquals(new Channel("netpoll-test:before").isHeard, true);
  unsubscribe("netpoll-test:before", nothing);
});

test("Channel lets another copy of the library follow the same channel", () => {
  const [first, second] = [new Channel("netpoll-test:two"), new Channel("netpoll-test:two")];
  subscribe("netpoll-test:two", nothing);
  assertEquals([first.isHeard, second.isHeard], [true, true]);
  unsubscribe("netpoll-test:two", nothing);
  assertEquals([first.isHeard, second.isHeard], [false, false]);
});

test("Channel passes on what the runtime's methods return, and throw", () => {
  new Channel("netpoll-test:results");
  assertEquals(unsubscribe("netpoll-test:results", nothing), false);
  subscribe("netpoll-test:results", nothing);
  assertEquals(unsubscribe("netpoll-test:results", nothing), true);
  assertThrows(() => subscribe("netpoll-test:results", 1 as unknown as () => void), TypeError);
});

test("Channel.publish() and run() tell subscribers, and run() sets the bound stores", async () => {
  const ours = new Channel<{ n: number }>("netpoll-test:run");
  const store = new AsyncLocalStorage<number>();
  const heard: unknown[] = [];
  const subscriber = (message: unknown) => void heard.push(message);
  subscribe("netpoll-test:run", subscriber);
  channel("netpoll-test:run").bindStore(store as AsyncLocalStorage<unknown>, (message) => {
    return (message as { n: number }).n;
  });
  ours.publish({ n: 1 });
  const call = async (a: number, b: number) => {
    const before = store.getStore();
    await Promise.resolve();
    return [before, store.getStore(), a, b];
  };
  assertEquals(await ours.run({ n: 2 }, call, 3, 4), [2, 2, 3, 4]);
  assertEquals(store.getStore(), undefined);
  assertEquals(heard, [{ n: 1 }, { n: 2 }]);
  unsubscribe("netpoll-test:run", subscriber);
  channel("netpoll-test:run").unbindStore(store as AsyncLocalStorage<unknown>);
});

test("Trace tells start, error and end with one message", () => {
  const trace = new Trace<TraceMessage>("netpoll-test:trace");
  const heard: string[] = [];
  const messages = new Set<unknown>();
  const subscribers = ["start", "error", "end"].map((part) => {
    const subscriber = (message: unknown) => {
      heard.push(part);
      messages.add(message);
    };
    return [`netpoll-test:trace:${part}`, subscriber] as const;
  });
  assertEquals(trace.isHeard, false);
  for (const [name, subscriber] of subscribers) {
    subscribe(name, subscriber);
    assertEquals(trace.isHeard, true);
  }
  const one: TraceMessage = { durationMs: null };
  assertEquals(trace.start(one, (a: number, b: number) => a + b, 1, 2), 3);
  trace.end(one, 5);
  const two: TraceMessage = { durationMs: null };
  trace.start(two, nothing, undefined, undefined);
  trace.fail(two, 6, undefined);
  assertEquals(heard, ["start", "end", "start", "error", "end"]);
  assertEquals(messages, new Set([one, two]));
  assertEquals([one, two], [{ durationMs: 5 }, { durationMs: 6, error: undefined }]);
  for (const [name, subscriber] of subscribers) unsubscribe(name, subscriber);
  assertEquals(trace.isHeard, false);
});

test("a subscriber that throws hurts no connection: the error is an uncaught exception", async () => {
  const { code, stdout, stderr } = await run(`${root}tests/support/throwing_subscribers.ts`);
  assertEquals([code, stdout.trim().split("\n")], [
    0,
    [
      "uncaught: netpoll:connection:close",
      "uncaught: netpoll:connection:open",
      "uncaught: netpoll:request:end",
      "uncaught: netpoll:request:start",
      "uncaught: the store",
      "the answer: hello",
      "closed in order",
    ].sort(),
  ], stderr);
});

import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import type { EventLoop, EventLoopOptions, ShutdownResult } from "../../mod.ts";
import { serveHandler } from "../support/echo_server.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, ticks, until } from "../support/until.ts";

/** Longer than two looks at what is left. */
const LONG_MS = 2500;

/** A server of which any callback may be told to shut it down, and to wait for that. */
class Self {
  loop!: EventLoop<undefined>;
  readonly results: ShutdownResult[] = [];
  begun = 0;

  /** Called in a callback. */
  async shutDown(timeoutMs?: number): Promise<void> {
    this.begun += 1;
    await null; // no longer on the stack of the callback
    this.results.push(await this.loop.shutdown(timeoutMs === undefined ? {} : { timeoutMs }));
  }
}

/** Runs a test with a server, on a clock of its own. */
function serving(
  optionsOf: (self: Self) => EventLoopOptions<undefined> & {
    onRequest?: (bytes: string) => Promise<void> | void;
  },
  body: (self: Self, peer: () => RawPeer, fake: FakeClock) => Promise<void>,
): Promise<void> {
  return leaks(() =>
    withFakeClock(async (fake) => {
      const self = new Self();
      const { onRequest, ...options } = optionsOf(self);
      const server = serveHandler(({ reader }) => {
        const text = reader.readString(reader.length);
        reader.release();
        return onRequest?.(text);
      }, options);
      self.loop = server.loop;
      const peers: RawPeer[] = [];
      await body(self, () => {
        const peer = new RawPeer(server.listener);
        peers.push(peer);
        peer.send("x");
        return peer;
      }, fake);
      await until(() => self.loop.connectionCount === 0, "every connection goes");
      await soon(server.loop.shutdown());
      for (const peer of peers) peer[Symbol.dispose]();
    })
  );
}

for (const timeoutMs of [undefined, 60_000]) {
  const title = timeoutMs === undefined ? "" : " with a deadline";
  for (const name of ["onConnect", "onRequest", "onDisconnect"] as const) {
    test(`shutdown()${title} settles for ${name} that awaits it, and cuts nothing`, () =>
      serving((self) => ({
        [name]: () => self.shutDown(timeoutMs) as Promise<undefined>,
      }), async (self, connect, fake) => {
        const peer = connect();
        if (name === "onDisconnect") peer.end();
        await until(() => self.begun === 1, name);
        await ticks(20);
        await fake.advance(LONG_MS);
        await until(() => self.results.length === 1, "it goes on");
        assertEquals(self.results, [{ cut: 0 }]);
        await until(() => peer.isOver, "the end");
      }));
  }
}

test("shutdown() settles for several callbacks that await it, of one connection each", () =>
  serving((self) => ({ onRequest: () => self.shutDown() }), async (self, connect, fake) => {
    for (let i = 0; i < 3; i++) connect();
    await until(() => self.begun === 3, "three callbacks");
    await ticks(20);
    await fake.advance(LONG_MS);
    await until(() => self.results.length === 3, "all go on");
  }));

test("shutdown() settles for no callback as long as another one works, however long", () => {
  const work = Promise.withResolvers<void>();
  let working = 0;
  return serving((self) => ({
    onRequest: () => {
      if (working > 0) return self.shutDown();
      working += 1;
      return work.promise; // for something that is not ours
    },
  }), async (self, connect, fake) => {
    connect();
    await until(() => working === 1, "one that works");
    connect();
    await until(() => self.begun === 1, "one that shuts down");
    await ticks(20);
    for (let i = 0; i < 20; i++) await fake.advance(LONG_MS);
    await ticks(20);
    assertEquals(self.results, []);
    work.resolve();
    await until(() => self.loop.connectionCount === 1, "only its own is left");
    await fake.advance(LONG_MS);
    await fake.advance(LONG_MS);
    await until(() => self.results.length === 1, "it goes on");
  });
});

test("shutdown() that was called elsewhere settles when the callbacks have, and not before", () => {
  const work = Promise.withResolvers<void>();
  let isOver = false;
  return serving((self) => ({
    onRequest: async () => {
      await self.shutDown();
      await work.promise;
    },
  }), async (self, connect, fake) => {
    connect();
    await until(() => self.begun === 1, "a callback");
    const outside = self.loop.shutdown().then(() => isOver = true);
    await ticks(20);
    await fake.advance(LONG_MS);
    await until(() => self.results.length === 1, "the callback goes on");
    await fake.advance(LONG_MS);
    await ticks(20);
    assert(!isOver);
    work.resolve();
    await soon(outside);
  });
});

test("shutdown() in a close callback settles at once: nothing is left", () =>
  serving((self) => ({
    onConnect: (connection) => void connection.addCloseCallback(() => void self.shutDown()),
  }), async (self, connect) => {
    connect().end();
    await until(() => self.results.length === 1, "it settles");
  }));

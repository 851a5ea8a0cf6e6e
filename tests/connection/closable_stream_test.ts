import { assert, assertEquals, assertGreater, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  type EventLoop,
  type EventLoopOptions,
  TimeoutError,
  UnsentError,
} from "../../mod.ts";
import { start } from "../support/child.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { serve } from "../support/serve.ts";
import {
  connectSlowly,
  endOf,
  MUCH,
  NARROW,
  sendSome,
  slowPeer,
  SOME,
  takeUntil,
  takeWhatIsThere,
  whenFull,
} from "../support/slow_peer.ts";
import { soon, until } from "../support/until.ts";
import { type Receiver, write } from "../support/zero_copy_ends.ts";

/** Moments when the peer ends its side: with its request, while it takes the answer, afterwards. */
const ENDS = ["before", "amid", "after"] as const;

/** Ways to end the connection, once the answer was flushed. */
const WAYS: Record<
  string,
  (connection: Connection, loop: { shutdown(): Promise<unknown> }) => void
> = {
  "the peer's end": () => {},
  "close()": (connection) => void connection.close(),
  "closeWrite() and close()": (connection) => {
    void connection.closeWrite();
    void connection.close();
  },
  "shutdown()": (_, loop) => void loop.shutdown(),
};

/** A handler that answers each request with `MUCH`, and takes what it was asked with. */
function answer(connection: Connection): Promise<void> {
  connection.reader.skip(connection.reader.length);
  connection.reader.release();
  write(connection, 0, MUCH);
  return connection.writer.flush();
}

/** Asks a server of one answer; what it comes to at a peer that ends its side at some time. */
async function ask(peer: Receiver, when: typeof ENDS[number]): Promise<string> {
  sendSome(peer, 1);
  if (when === "before") peer.end();
  await takeUntil(peer, MUCH / 4);
  if (when === "amid") peer.end();
  await takeUntil(peer, MUCH);
  if (when === "after") peer.end();
  return await endOf(peer);
}

for (const [way, end] of Object.entries(WAYS)) {
  test(`Connection delivers what was flushed, the handler waiting for it or not, when it ends by ${way}`, () =>
    leaks(async () => {
      for (const isAwaited of [true, false]) {
        for (const when of ENDS) {
          const { loop, listener, served } = serve(
            (connection) => {
              const flushed = answer(connection);
              end(connection, loop);
              return isAwaited ? flushed : undefined;
            },
            { lifetimeMs: way === "the peer's end" ? 1 : 0 },
            NARROW,
          );
          const peer = connectSlowly(listener);
          assertEquals([await ask(peer, when), peer.count], ["end", MUCH], `${isAwaited} ${when}`);
          assertEquals(await soon(loop.shutdown()), { cut: 0 });
          await served;
          peer.close();
        }
      }
    }));
}

/** A server whose peer takes nothing, with much to send. */
async function stalled(
  options: EventLoopOptions = {},
): Promise<[EventLoop, Connection, Receiver]> {
  let connection: Connection | null = null;
  const { loop, listener } = serve(
    (each) => {
      connection = each;
      void answer(each);
    },
    options,
    NARROW,
  );
  const peer = connectSlowly(listener);
  sendSome(peer, 1);
  await until(() => connection !== null, "the request");
  assertGreater(connection!.metrics().unsent.bytes, 0);
  await whenFull(connection!);
  return [loop, connection!, peer];
}

async function failureOf(connection: Connection): Promise<Error> {
  return await soon(connection.closed.then(() => new Error("in order"), (error) => error));
}

test("EventLoop.shutdown() counts as cut who was stalled, and says so to `closed` and the peer", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      const [loop, connection, peer] = await stalled();
      const done = loop.shutdown();
      await clock.advance(6000);
      assertEquals(await soon(done), { cut: 1 });
      const error = await failureOf(connection);
      assertInstanceOf(error, UnsentError);
      assert(error.message.endsWith("the peer took nothing for 5000 ms"), error.message);
      assertEquals(await endOf(peer), "reset");
      peer.close();
    })
  ));

test("EventLoop.shutdown({ timeoutMs }) is a total, and so is its signal", () =>
  leaks(async () => {
    const abort = new AbortController();
    const ways = [
      [{ timeoutMs: 20 }, "the shutdown had 20 ms"],
      [{ signal: abort.signal }, "the shutdown was aborted"],
    ] as const;
    for (const [options, why] of ways) {
      const [loop, connection, peer] = await stalled();
      takeWhatIsThere(peer);
      const done = loop.shutdown(options);
      abort.abort();
      assertEquals(await soon(done), { cut: 1 });
      const error = await failureOf(connection);
      assertInstanceOf(error, UnsentError);
      assert(error.message.endsWith(why), error.message);
      assertEquals(await endOf(peer), "reset");
      peer.close();
    }
  }));

test("EventLoop.shutdown({ timeoutMs }) leaves to the kernel what that has taken", () =>
  leaks(async () => {
    const { loop, listener } = serve(
      (connection) => {
        connection.reader.skip(connection.reader.length);
        write(connection, 0, SOME);
        void connection.writer.flush();
      },
      {},
      NARROW,
    );
    const peer = connectSlowly(listener);
    sendSome(peer, 1);
    await until(() => peer.take(1), "the answer begins");
    assertEquals(await soon(loop.shutdown({ timeoutMs: 20 })), { cut: 0 });
    assertEquals([await endOf(peer), peer.count], ["end", SOME]);
    peer.close();
  }));

test("Connection that is idle for too long with unsent bytes ends by a reset", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      const [loop, connection, peer] = await stalled({ idleTimeoutMs: 300 });
      await clock.advance(1000);
      assertInstanceOf(await failureOf(connection), TimeoutError);
      assertGreater((await connection.close()).unsentBytes, 0);
      assertEquals(await endOf(peer), "reset");
      peer.close();
      await loop.shutdown();
    })
  ));

test("Connection.close({ timeoutMs: 0 }) drops by a reset what the kernel has not taken, and nothing else", () =>
  leaks(async () => {
    for (const bytes of [MUCH, SOME]) {
      const [connection, peer] = await slowPeer();
      write(connection, 0, bytes);
      void connection.writer.flush();
      const { unsentBytes } = await soon(connection.close({ timeoutMs: 0 }));
      const end = await endOf(peer);
      if (bytes === SOME) assertEquals([end, peer.count, unsentBytes], ["end", SOME, 0]);
      else assertEquals([end, (await failureOf(connection)).name], ["reset", "UnsentError"]);
      assert(peer.count + unsentBytes >= bytes);
      peer.close();
    }
  }));

test("close() of ours is told to no onDisconnect, also when the peer ends while it delivers", () =>
  leaks(async () => {
    let told = 0;
    const done = Promise.withResolvers<void>();
    const { loop, listener } = serve(
      (connection) => {
        connection.reader.skip(connection.reader.length);
        write(connection, 0, SOME);
        void connection.writer.flush();
        void connection.close().then(() => done.resolve());
      },
      { onDisconnect: () => void (told += 1) },
      NARROW,
    );
    const peer = connectSlowly(listener);
    sendSome(peer, 1);
    await takeUntil(peer, 1);
    peer.end();
    assertEquals([await endOf(peer), peer.count], ["end", SOME]);
    await soon(done.promise);
    await soon(loop.shutdown());
    assertEquals(told, 0);
    peer.close();
  }));

/** A program that answers with so many bytes and ends then in some way, and its peer. */
async function program(bytes: number, how: "close" | "exit" | "killed") {
  const child = start(`${root}tests/support/closing_program.ts`, { args: [`${bytes}`, how] });
  const port = Number((await child.find(/port (\d+)\n/))[1]);
  const peer = connectSlowly({ address: { transport: "tcp", hostname: "127.0.0.1", port } });
  sendSome(peer, 1);
  await child.find(/flushed/);
  return { child, peer };
}

test("a process ends by itself when its last connection has delivered what was flushed", async () => {
  const { child, peer } = await program(MUCH, "close");
  assertEquals([await endOf(peer), peer.count], ["end", MUCH]);
  const { code, stdout } = await soon(child.ended);
  assertEquals(code, 0);
  assert(stdout.endsWith("delivered\n"), stdout);
  peer.close();
});

for (const how of ["exit", "killed"] as const) {
  test(`a process that is over (${how}) resets where it owes bytes, and nowhere else`, async () => {
    for (const [bytes, end] of [[MUCH, "reset"], [SOME, "end"]] as const) {
      const { child, peer } = await program(bytes, how);
      if (how === "killed") child.signal("SIGKILL");
      await soon(child.ended);
      assertEquals(await endOf(peer), end);
      assertEquals(peer.count === bytes, end === "end");
      peer.close();
    }
  });
}

test("closeTimeoutMs says for how long a peer may take nothing; 0 is for ever", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      const [loop, connection, peer] = await stalled({ closeTimeoutMs: 40 });
      void connection.close();
      await clock.advance(50);
      assertInstanceOf(await failureOf(connection), UnsentError);
      peer.close();
      await loop.shutdown();

      const [another, patient, slow] = await stalled({ closeTimeoutMs: 0 });
      const closing = patient.close();
      await clock.advance(100_000);
      assertEquals([await endOf(slow), slow.count], ["end", MUCH]);
      assertEquals(await soon(closing), { unsentBytes: 0 });
      slow.close();
      await another.shutdown();
    })
  ));

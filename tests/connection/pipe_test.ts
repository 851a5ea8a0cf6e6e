import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  Connection,
  createListener,
  dial,
  EofError,
  EventLoop,
  NetpollError,
  pipe,
  type PipeResult,
  TimeoutError,
} from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { assertCalm } from "../support/calm.ts";
import { serveHandler } from "../support/echo_server.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { KINDS, lineOf, receiveAll, sendAll, withLine } from "../support/line.ts";
import {
  assertBytes,
  closeAll,
  pairWith,
  pattern,
  receive,
  send,
  tcpPair,
} from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { seededRandom } from "../support/random.ts";
import { delay, soon, stateOf, tick, ticks, until } from "../support/until.ts";

const BIG = 8 << 20;

for (const kind of KINDS) {
  test(`pipe() passes big data both ways at once, between sockets of kind ${kind}`, () =>
    withLine(kind, async ({ client, server }, piped) => {
      const [there, back] = [pattern(BIG, 1), pattern(BIG - 12345, 99)];
      const [, , received, answered] = await Promise.all([
        sendAll(client, there),
        sendAll(server, back),
        receiveAll(server),
        receiveAll(client, tick),
      ]);
      assertBytes(received, there, "there");
      assertBytes(answered, back, "back");
      assertEquals(await soon(piped), { aToB: there.length, bToA: back.length });
    }));

  test(`pipe() keeps half-close each way, between sockets of kind ${kind}`, async () => {
    for (const [first, second] of [["client", "server"], ["server", "client"]] as const) {
      await withLine(kind, async (line, piped) => {
        const [early, late] = [line[first], line[second]];
        await send(early, "request");
        await early.closeWrite();
        assertEquals(await soon(receive(late, 7)), "request");
        await assertRejects(() => soon(late.reader.wait(1)), EofError);
        assertEquals(await stateOf(piped), "pending");
        // The other direction lives on.
        for (let i = 0; i < 3; i++) {
          await send(late, `answer ${i}`);
          assertEquals(await soon(receive(early, 8)), `answer ${i}`);
        }
        await late.closeWrite();
        await assertRejects(() => soon(early.reader.wait(1)), EofError);
        const result = await soon(piped);
        assertEquals(
          first === "client" ? result : { aToB: result.bToA, bToA: result.aToB },
          { aToB: 7, bToA: 24 },
        );
        assertEquals([line.a.isActive, line.b.isActive], [false, false]);
        await Promise.all([line.a.closed, line.b.closed]);
      });
    }
  });

  test(`pipe() waits for a peer that does not read, between sockets of kind ${kind}`, () =>
    withLine(kind, async ({ client, server }, piped) => {
      server.pauseRead();
      const bytes = pattern(32 << 20);
      const sent = sendAll(client, bytes);
      // The bytes on the way are bounded, so the client is stopped.
      await ticks(200);
      assertEquals(await stateOf(sent), "pending");
      server.resumeRead();
      assertBytes(await receiveAll(server), bytes);
      await sent;
      await server.closeWrite();
      assertEquals(await soon(piped), { aToB: bytes.length, bToA: 0 });
    }));
}

test("pipe() passes messages of all sizes on, with readers that are slow and fast in turn", async () => {
  const random = seededRandom();
  console.log(`seed ${random.seed}`);
  for (const kind of KINDS) {
    await withLine(kind, async ({ client, server }, piped) => {
      const pause = async () => {
        if (random.chance(0.1)) await delay(1);
        else if (random.chance(0.5)) await tick();
      };
      const sendPieces = async (connection: Connection, bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length;) {
          const size = 1 + random.below(random.pick([10, 1000, 30_000, 300_000]));
          connection.writer.writeBinary(bytes.subarray(at, at + size));
          await connection.writer.flush();
          at += size;
          await pause();
        }
        await connection.closeWrite();
      };
      const [there, back] = [pattern(2_000_000, 3), pattern(1_500_000, 5)];
      const [received, answered] = await Promise.all([
        receiveAll(server, pause),
        receiveAll(client, pause),
        sendPieces(client, there),
        sendPieces(server, back),
      ]);
      assertBytes(received, there, "there");
      assertBytes(answered, back, "back");
      assertEquals(await soon(piped), { aToB: there.length, bToA: back.length });
    });
  }
});

test("pipe() sends first what was received and not read, behind what was written", () =>
  leaks(async () => {
    const { client, a, b, server } = await lineOf("tcp");
    await send(client, "from client ");
    await send(server, "from server ");
    await until(() => a.reader.length === 12 && b.reader.length === 12, "the bytes");
    assertEquals(a.reader.readString(5), "from ");
    b.writer.writeString("flushed ");
    void b.writer.flush();
    b.writer.writeString("written ");
    const piped = pipe(a, b);
    await send(client, "later");
    assertEquals(await soon(receive(server, 28)), "flushed written client later");
    assertEquals(await soon(receive(client, 12)), "from server ");
    await Promise.all([client.closeWrite(), server.closeWrite()]);
    assertEquals(await soon(piped), { aToB: 12, bToA: 12 });
    await closeAll(client, server);
  }));

test("pipe() passes on an end that was there before it, with what came before the end", () =>
  leaks(async () => {
    const { client, a, b, server } = await lineOf("unix");
    await send(client, "all of it");
    await client.closeWrite();
    await until(() => a.reader.length === 9, "the bytes");
    const piped = pipe(a, b);
    assertEquals(new TextDecoder().decode(await receiveAll(server)), "all of it");
    await server.close();
    assertEquals(await soon(piped), { aToB: 9, bToA: 0 });
    await closeAll(client);
  }));

test("pipe() holds readers and writers: they throw a BusyError, and no handler is called", () =>
  leaks(async () => {
    let requests = 0;
    const [client, a] = pairWith({}, { onRequest: () => void (requests += 1) });
    const [b, server] = pairWith();
    const piped = pipe(a, b);
    for (const each of [a, b]) {
      assertThrows(() => each.reader.next(1), BusyError);
      assertThrows(() => each.writer.writeString("x"), BusyError);
      await assertRejects(() => each.reader.wait(1), BusyError);
      await assertRejects(() => each.writer.flush(), BusyError);
      await assertRejects(() => pipe(each, client), BusyError);
      await assertRejects(() => each.sendFile("/etc/hostname"), BusyError);
      each.pauseRead(); // and nothing comes of it
      assertEquals(await stateOf(each.closeWrite()), "pending");
    }
    await send(client, "hello");
    assertEquals(await soon(receive(server, 5)), "hello");
    assertEquals(requests, 0);
    await Promise.all([client.closeWrite(), server.closeWrite()]);
    await soon(piped);
    await closeAll(client, server);
  }));

test("pipe() refuses what is misuse, and leaves both as they were", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const [c, d] = pairWith();
    await assertRejects(() => pipe(a, a), TypeError);
    await assertRejects(() => pipe(a, {} as Connection), TypeError);
    const waiting = a.reader.wait(1);
    await assertRejects(() => pipe(a, c), BusyError);
    await assertRejects(() => pipe(c, a), BusyError);
    await send(b, "x");
    await soon(waiting);
    assertEquals(a.reader.readString(1), "x");
    await send(a, "as ever");
    assertEquals(await soon(receive(b, 7)), "as ever");
    await send(d, "here, too");
    assertEquals(await soon(receive(c, 9)), "here, too");
    await closeAll(a, b, c, d);
  }));

/** Ways in which a connection can be over before it is piped. */
const OVER: Record<string, (a: Connection, peer: Connection) => unknown> = {
  "reset()": (a) => a.reset(),
  "close()": (a) => void a.close(),
  "close(), settled": (a) => a.close(),
  "closeWrite()": (a) => a.closeWrite(),
  "detach()": (a) => void native.close(a.detach()),
  "a reset of its peer": async (a, peer) => {
    peer.reset();
    await soon(a.closed.catch(() => {}));
  },
};

for (const [how, end] of Object.entries(OVER)) {
  const need = how === "detach()" ? needs("plain bytes") : needs();
  test(
    `pipe() resets the other end when one is over already, by ${how}`,
    need,
    () =>
      leaks(async () => {
        for (const isFirst of [true, false]) {
          const [a, peer] = await tcpPair();
          const [b, other] = await tcpPair();
          await end(a, peer);
          const piped = isFirst ? pipe(a, b) : pipe(b, a);
          const error = await assertRejects(() => soon(piped), NetpollError);
          assertEquals(await soon(b.closed.catch((error) => error)), error);
          const cut = await assertRejects(() => soon(other.closed), EofError);
          assertEquals((cut.cause as { code: string }).code, "ECONNRESET");
          assertEquals([a.isActive, b.isActive, b.fd], [false, false, -1]);
          await closeAll(a, peer, b, other);
        }
      }),
  );
}

test("pipe() with a connection that still delivers what was flushed before its close() lets it", () =>
  leaks(async () => {
    const [a, peer] = await tcpPair();
    const [b, other] = await tcpPair();
    peer.pauseRead();
    const bytes = pattern(32 << 20);
    a.writer.writeBinary(bytes);
    void a.writer.flush();
    const closing = a.close();
    await assertRejects(() => soon(pipe(a, b)), ClosedError);
    await assertRejects(() => soon(b.closed), ClosedError);
    peer.resumeRead();
    assertBytes(await soon(receiveAll(peer)), bytes);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    await closeAll(peer, other);
  }));

test(
  "pipe() ends in order when a Unix peer has closed altogether, before it or during it",
  needs("descriptor"),
  () =>
    leaks(async () => {
      for (const isBefore of [true, false]) {
        const [client, a] = pairWith();
        const [b, server] = pairWith();
        await send(client, "all of it");
        if (isBefore) {
          await client.close();
          await ticks(5);
        }
        const piped = pipe(a, b);
        if (!isBefore) await client.close();
        assertEquals(await soon(receive(server, 9)), "all of it");
        assertEquals(await soon(piped), { aToB: 9, bToA: 0 });
        assertEquals([a.isActive, b.isActive], [false, false]);
        await assertRejects(() => soon(server.reader.wait(1)), EofError);
        await closeAll(client, a, b, server);
      }
    }),
);

test("pipe() with a signal that was aborted before resets both", () =>
  leaks(async () => {
    const [a, peer] = await tcpPair();
    const [b, other] = await tcpPair();
    const reason = new Error("on purpose");
    const piped = pipe(a, b, { signal: AbortSignal.abort(reason) });
    assertEquals(await soon(piped.catch((error) => error)), reason);
    for (const each of [a, b]) assertEquals(await soon(each.closed.catch((e) => e)), reason);
    for (const each of [peer, other]) await assertRejects(() => soon(each.closed), EofError);
  }));

test("pipe() passes a reset on, and rejects with it", async () => {
  for (const who of ["client", "server"] as const) {
    await withLine("tcp", async (line, piped) => {
      const other = line[who === "client" ? "server" : "client"];
      const failed = assertRejects(() => soon(piped), EofError);
      await send(line[who], "x");
      assertEquals(await soon(receive(other, 1)), "x");
      const waiting = other.reader.wait(1).catch((error) => error);
      line[who].reset();
      assertEquals(((await failed).cause as { code: string }).code, "ECONNRESET");
      // The other peer learns that it was no orderly end.
      assertEquals(((await soon(waiting)).cause as { code: string }).code, "ECONNRESET");
      for (const each of [line.a, line.b]) await assertRejects(() => soon(each.closed), EofError);
    });
  }
});

test("pipe() passes a reset on that comes in the middle of much", () =>
  withLine("tcp", async ({ client, server }, piped) => {
    const failed = assertRejects(() => soon(piped), EofError);
    const sending = sendAll(client, pattern(64 << 20)).catch(() => {});
    await soon(server.reader.wait(1 << 20));
    server.reset();
    await failed;
    await soon(sending);
  }));

test("pipe() is ended by its signal, in the middle of much: both peers are reset", () =>
  leaks(async () => {
    const { client, a, b, server } = await lineOf("tcp");
    const controller = new AbortController();
    const piped = pipe(a, b, { signal: controller.signal });
    const sending = sendAll(client, pattern(64 << 20)).catch(() => {});
    await soon(server.reader.wait(1 << 20));
    server.pauseRead();
    const reason = new Error("on purpose");
    controller.abort(reason);
    assertEquals(await soon(piped.catch((error) => error)), reason);
    assertEquals(await soon(a.closed.catch((error) => error)), reason);
    assertEquals(await soon(b.closed.catch((error) => error)), reason);
    await soon(sending);
    server.resumeRead();
    const cut = await assertRejects(() => soon(receiveAll(server)), EofError);
    assertEquals((cut.cause as { code: string }).code, "ECONNRESET");
    await closeAll(client, server);
  }));

for (const end of ["close", "reset", "detach"] as const) {
  const need = end === "detach" ? needs("plain bytes") : needs();
  test(
    `pipe() ends when one of both is closed by its user, by ${end}()`,
    need,
    () =>
      withLine("unix", async ({ a, b, server }, piped) => {
        const result = a[end]();
        await assertRejects(() => soon(piped), ClosedError);
        await assertRejects(() => soon(b.closed), ClosedError);
        await assertRejects(() => soon(server.reader.wait(1)), EofError);
        if (typeof result === "number") native.close(result);
      }),
  );
}

test("pipe() counts what passes for the idle timeout, and is ended by it", () =>
  withFakeClock((clock) =>
    withLine("unix", async ({ client, a, b, server }, piped) => {
      a.idleTimeoutMs = 100;
      b.idleTimeoutMs = 60_000;
      for (let i = 0; i < 3; i++) {
        await clock.advance(90);
        await send(client, "x");
        await soon(receive(server, 1));
      }
      await clock.advance(102);
      const error = await soon(piped.catch((error) => error));
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.operation, "idle");
      await assertRejects(() => soon(client.reader.wait(1)), EofError);
    })
  ));

test("pipe() in onConnect makes a proxy; shutdown() waits for what is piped", () =>
  leaks(async () => {
    await using upstream = serveHandler(async ({ reader, writer }) => {
      await reader.wait(5);
      writer.writeString(reader.readString(5).toUpperCase());
      await writer.flush();
      reader.release();
    });
    const results: PipeResult[] = [];
    let disconnects = 0;
    const loop = new EventLoop(null, {
      onConnect: async (client) => {
        results.push(await pipe(client, await dial("tcp", upstream.at)));
        return undefined;
      },
      onDisconnect: () => void (disconnects += 1),
    });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = loop.serve(listener);
    const { address } = listener;
    assert(address.transport === "tcp");
    const client = await dial("tcp", `127.0.0.1:${address.port}`);
    await send(client, "hello");
    assertEquals(await soon(receive(client, 5)), "HELLO");
    const stopped = loop.shutdown({ timeoutMs: 10_000 });
    await send(client, "again");
    assertEquals(await soon(receive(client, 5)), "AGAIN");
    assertEquals(await stateOf(stopped), "pending");
    await client.closeWrite();
    await assertRejects(() => soon(client.reader.wait(1)), EofError);
    assertEquals(await soon(stopped), { cut: 0 });
    await served;
    assertEquals([results, disconnects], [[{ aToB: 10, bToA: 10 }], 1]);
    await client.close();
  }));

test("pipe() that is not awaited by a handler which has ended goes on", () =>
  leaks(async () => {
    const [b, server] = pairWith();
    const pipes: Promise<PipeResult>[] = [];
    await using front = serveHandler((client) => void pipes.push(pipe(client, b)));
    const client = await dial("tcp", front.at);
    await send(client, "first");
    assertEquals(await soon(receive(server, 5)), "first");
    await client.closeWrite();
    await assertRejects(() => soon(server.reader.wait(1)), EofError);
    const stopped = front.loop.shutdown({ timeoutMs: 10_000 });
    assertEquals(await stateOf(stopped), "pending");
    await send(server, "late");
    assertEquals(await soon(receive(client, 4)), "late");
    await server.close();
    assertEquals(await soon(stopped), { cut: 0 });
    assertEquals(await soon(pipes[0]!), { aToB: 5, bToA: 4 });
    await client.close();
  }));

test("pipe() moves bytes of what is no socket", () =>
  leaks(async () => {
    const fds = new Int32Array(2);
    assertEquals(native.pipe(fds), 0);
    const source = Connection.fromFd(fds[1]!);
    const a = Connection.fromFd(fds[0]!);
    const [b, server] = pairWith();
    const piped = pipe(a, b);
    const bytes = pattern(1 << 20);
    source.writer.writeBinary(bytes);
    const received = receiveAll(server);
    await soon(source.writer.flush());
    await source.close();
    assertBytes(await soon(received), bytes);
    await server.closeWrite();
    assertEquals(await soon(piped), { aToB: bytes.length, bToA: 0 });
    await closeAll(server);
  }));

test(
  "pipe() leaves the poller in peace when all has ended but what is on its way",
  needs("kernel buffer", "plain bytes"),
  () =>
    withLine("unix", async ({ client, server }, piped) => {
      server.pauseRead();
      const bytes = pattern(600_000); // more than a socket holds, and the pipe holds the rest
      await soon(sendAll(client, bytes));
      await server.closeWrite();
      await assertRejects(() => soon(client.reader.wait(1)), EofError);
      assertEquals(await stateOf(piped), "pending");
      await assertCalm();
      server.resumeRead();
      assertBytes(await receiveAll(server), bytes);
      await soon(piped);
    }),
);

test("pipe() leaves the poller in peace while nobody reads", () =>
  withLine("tcp", async ({ client, server }, piped) => {
    server.pauseRead();
    const sending = sendAll(client, pattern(32 << 20)).catch(() => {});
    await ticks(200);
    await server.closeWrite();
    await assertCalm();
    server.resumeRead();
    await receiveAll(server);
    await sending;
    await soon(piped);
  }));

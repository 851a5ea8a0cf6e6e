import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import {
  ClosedError,
  type DatagramSocket,
  dialDatagram,
  packPeer,
  SystemError,
  TimeoutError,
  unpackPeer,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { RECEIVE_REST_MS } from "../../src/core/limits.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import {
  bound,
  bytes,
  DEAD_ADDRESS,
  dialled,
  echo,
  textOf,
  texts,
  withLog,
} from "../support/datagrams.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { clearFaults, failWith, faultTest } from "../support/faults.ts";
import { start } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { soon, tick, ticks, until } from "../support/until.ts";

const pastOf = (error: unknown) => (error as SystemError).code;

test("a dead peer among 50 hurts none of the others, with reportUnreachable and without", async () => {
  for (const reportUnreachable of [true, false]) {
    const dead = packPeer(DEAD_ADDRESS);
    const heard: string[] = [];
    await using server = bound({
      reportUnreachable,
      onError: (error, peer) => heard.push(`${pastOf(error)} ${peer === dead}`),
    });
    const receivers = Array.from({ length: 49 }, () => bound({ readTimeoutMs: 3000 }));
    for (let round = 0; round < 3; round++) {
      for (const [i, each] of receivers.entries()) {
        if (i === 25) server.writeTo(dead, bytes("lost"));
        server.writeTo(packPeer(textOf(each)), bytes(`${round}`));
      }
      await server.flush();
    }
    for (const each of receivers) assertEquals(await texts(each, 3), ["0", "1", "2"]);
    if (reportUnreachable) {
      await until(() => heard.length === 3, "each error is told");
      assertEquals(heard, new Array(3).fill("ECONNREFUSED true"));
    }
    assertEquals(server.metrics().sent.count, 3 * 50);
    await Promise.all(receivers.map((each) => each.close()));
  }
});

test("the error queue is drained: an error of the network is told once, not for ever", async () => {
  for (const [network, dead] of [["udp4", DEAD_ADDRESS], ["udp6", "[::1]:1"]] as const) {
    const heard: unknown[] = [];
    const onError = (error: unknown) => heard.push(pastOf(error));
    await using server = bound({ reportUnreachable: true, onError }, network);
    server.writeTo(packPeer(dead), bytes("x"));
    await server.flush();
    await until(() => heard.length > 0, "the error is told");
    const { waits } = threadPoller().counts;
    await ticks(20);
    assertEquals(heard, ["ECONNREFUSED"]);
    assert(threadPoller().counts.waits - waits < 200);
  }
});

test("a datagram that is too long for the path is told once: the error queue has it, too", async () => {
  const heard: unknown[] = [];
  const onError = (error: unknown) => heard.push(pastOf(error));
  const options = { pathMtu: "probe", reportUnreachable: true, onError } as const;
  await using server = bound(options, "udp6");
  server.writeTo(packPeer(server.localAddress), new Uint8Array(65_527)); // loopback has 65 536
  await server.flush();
  await until(() => heard.length > 0, "the error is told");
  await ticks(5);
  assertEquals([heard, server.metrics().dropped.refused], [["EMSGSIZE"], 1]);
});

faultTest("a receive without memory is told, and no peer is blamed for it", async () => {
  await using server = echo();
  await using client = await dialled(server);
  client.write(bytes("x"));
  failWith("recv", ERRNO.ENOMEM, { fd: client.fd });
  const waited = client.wait().then(() => null, (error) => error);
  await client.flush();
  const error = await soon(waited);
  assertInstanceOf(error, SystemError);
  const from = `127.0.0.1:${client.localAddress.port}`;
  assertEquals([error.code, error.message.includes(from)], ["ENOMEM", true]);
  assertEquals(await texts(client, 1), ["x"]);
});

test("wait() of a connected socket rejects when its peer is dead, and the socket goes on", async () => {
  const server = echo();
  const at = textOf(server);
  await using client = await dialled(server);
  await server.close();
  client.write(bytes("x"));
  await client.flush();
  const error = await client.wait().then(() => null, (error) => error);
  assertInstanceOf(error, SystemError);
  assertEquals([error.code, error.message.includes(at)], ["ECONNREFUSED", true]);
  // An error that came while nobody waited is the next wait's.
  client.write(bytes("x"));
  await client.flush();
  await ticks(5);
  assertEquals(pastOf(await client.wait().catch((error) => error)), "ECONNREFUSED");
});

test("reportUnreachable: false lets a connected socket hear nothing of a dead peer, and go on", async () => {
  const server = echo();
  await using client = await dialled(server, { reportUnreachable: false, readTimeoutMs: 30 });
  await server.close();
  for (let i = 0; i < 3; i++) {
    client.write(bytes("x"));
    await client.flush();
    assertInstanceOf(await client.wait().catch((error) => error), TimeoutError);
  }
  assertEquals(client.metrics().errorCount, 0);
});

test("onError of a connected socket with a handler hears that its peer is dead", async () => {
  const server = echo();
  const heard: unknown[] = [];
  await using client = await dialled(server, {
    onDatagram() {},
    onError: (error, peer) => heard.push(pastOf(error), peer),
  });
  await server.close();
  client.write(bytes("x"));
  await client.flush();
  await until(() => heard.length > 0, "the error is told");
  assertEquals(heard, ["ECONNREFUSED", null]);
});

test("an empty datagram is no end", async () => {
  await using server = echo();
  await using client = await dialled(server);
  for (const text of ["", "a", ""]) {
    client.write(bytes(text));
    await client.flush();
    assertEquals(await texts(client, 1), [text]);
  }
});

test("datagrams of every size come back as they were, up to the longest", async () => {
  await using server = echo({ receiveBufferBytes: 1 << 20 });
  await using client = await dialled(server, { receiveBufferBytes: 1 << 20 });
  for (const size of [1, 1472, 1473, 16_383, 16_384, 65_506, 65_507]) {
    const sent = new Uint8Array(size).map((_, i) => i * 31 >> 3);
    client.write(sent);
    await client.flush();
    await client.wait();
    assertEquals(client.datagrams.count, 1);
    const { bytes } = client.datagrams.at(0);
    assertEquals(bytes.length, size);
    assert(bytes.every((byte, i) => byte === sent[i]));
  }
  client.release();
});

faultTest("a failed receive is told, and what lies behind it comes all the same", async () => {
  const heard: string[] = [];
  const got: string[] = [];
  await using server = bound({
    onDatagram: ({ bytes }) => void got.push(new TextDecoder().decode(bytes)),
    onError: (error) => heard.push(pastOf(error)),
  });
  await using client = await dialled(server);
  failWith("recv", ERRNO.ENOMEM, { fd: server.fd });
  client.write(bytes("x"));
  await client.flush();
  await until(() => got.length > 0 && heard.length > 0, "both come");
  assertEquals([got, heard], [["x"], ["ENOMEM"]]);
});

faultTest(
  "a receive that goes on failing is tried again after a while, and not at once for ever",
  () =>
    withFakeClock(async (clock) => {
      const told = { errors: 0, datagrams: 0 };
      await using server = bound({
        onDatagram: () => void told.datagrams++,
        onError: () => void told.errors++,
      });
      await using client = await dialled(server);
      failWith("recv", ERRNO.ENOMEM, { fd: server.fd, count: 2 ** 31 - 1 });
      client.write(bytes("x"));
      await client.flush();
      await until(() => told.errors > 0, "it fails");
      await ticks(20);
      assertEquals(told, { errors: 1, datagrams: 0 });
      await clock.advance(RECEIVE_REST_MS + 1); // timers are of whole milliseconds
      assertEquals(told, { errors: 2, datagrams: 0 });
      clearFaults();
      await clock.advance(RECEIVE_REST_MS + 1); // timers are of whole milliseconds
      await until(() => told.datagrams > 0, "it comes");
      assertEquals(told, { errors: 2, datagrams: 1 });
    }),
);

faultTest("close() leaves no timer, when what was written has left", async () => {
  const before = threadPoller().timerCount;
  const socket = bound();
  socket.writeTo(packPeer(socket.localAddress), bytes("x"));
  failWith("send", ERRNO.EAGAIN, { fd: socket.fd, count: 2 });
  const closing = socket.close();
  assertEquals(threadPoller().timerCount, before + 1);
  assertEquals(await soon(closing), { unsentCount: 0 });
  assertEquals(threadPoller().timerCount, before);
});

test("close() sends what was written, says what was not, and gives everything back", async () => {
  await leaks(async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    const sender = await dialled(receiver);
    sender.write(bytes("last"));
    assertEquals(await sender.close(), { unsentCount: 0 });
    assertEquals(await texts(receiver, 1), ["last"]);
    assertEquals([sender.fd, await sender.close()], [-1, { unsentCount: 0 }]);
    await sender.closed;
  });
});

faultTest("close() gives up after its time, and counts what was left", async () => {
  await leaks(async () => {
    await using receiver = bound();
    const sender = await dialled(receiver);
    failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
    for (const text of ["a", "b", "ccc"]) sender.write(bytes(text));
    const flushed = sender.flush();
    flushed.catch(() => {});
    assertEquals(await soon(sender.close({ timeoutMs: 20 })), { unsentCount: 3 });
    assertInstanceOf(await flushed.catch((error) => error), ClosedError);
    assertEquals(sender.metrics().dropped.closed, 3);
  });
});

test("close() ends a wait, and a handler in the middle of a batch", async () => {
  await leaks(async () => {
    const waiting = bound();
    const wait = waiting.wait().catch((error) => error);
    await waiting.close();
    assertInstanceOf(await wait, ClosedError);
    assertInstanceOf(await waiting.wait().catch((error) => error), ClosedError);
    let calls = 0;
    const server = bound({
      onDatagram() {
        calls += 1;
        server[Symbol.dispose]();
      },
    });
    await using client = await dialled(server);
    for (let i = 0; i < 5; i++) client.write(bytes("x"));
    await client.flush();
    await server.closed;
    assertEquals(calls, 1);
  });
});

test("idleTimeoutMs closes a silent socket, and says why in every way", async () => {
  await leaks(async () => {
    const heard: unknown[] = [];
    const socket = bound({ idleTimeoutMs: 20, onError: (error) => heard.push(error) });
    const wait = socket.wait().catch((error) => error);
    const reason = await soon(socket.closed.catch((error) => error));
    assertInstanceOf(reason, TimeoutError);
    assertEquals(reason.operation, "idle");
    assertEquals(await wait, reason);
    await until(() => heard.length > 0, "onError hears of it");
    assertEquals(heard, [reason]);
    const late = await socket.wait().catch((error) => error);
    assertEquals([late instanceof ClosedError, late.cause], [true, reason]);
    assertEquals(await socket.closed.catch((error) => error), reason);
    assertEquals(await socket.close(), { unsentCount: 0 });
  });
});

test("idleTimeoutMs is counted from the last datagram, be it sent or received", () =>
  withFakeClock(async (clock) => {
    await using other = bound({ idleTimeoutMs: 1000 });
    for (const silent of ["sender", "receiver"]) {
      await using socket = bound({ idleTimeoutMs: 100, onError() {} });
      const [from, to] = silent === "sender" ? [other, socket] : [socket, other];
      for (let i = 0; i < 5; i++) {
        from.writeTo(packPeer(to.localAddress), bytes("x"));
        const waited = to.wait();
        await from.flush();
        await waited;
        to.release();
        await clock.advance(60);
      }
      assertEquals(socket.fd >= 0, true, silent);
      await clock.advance(120);
      assertEquals(socket.fd, -1, silent);
    }
  }));

const WATCHED: [what: string, use: (socket: DatagramSocket) => Promise<void>][] = [
  ["wait", (socket) => socket.wait()],
  ["flush", (socket) => {
    failWith("send", ERRNO.EAGAIN, { fd: socket.fd });
    socket.writeTo(packPeer("127.0.0.1:9"), bytes("x"));
    return socket.flush();
  }],
];
for (const [what, use] of WATCHED) {
  faultTest(
    `a socket whose ${what} the poller cannot watch is over, and says so in every way`,
    () =>
      leaks(async () => {
        const heard: unknown[] = [];
        const socket = bound({ onError: (error) => heard.push(error) });
        failWith("epollCtl", ERRNO.ENOMEM, { fd: socket.fd });
        const used = use(socket).then(() => null, (error) => error);
        assertEquals([socket.fd >= 0, pastOf(await socket.closed.catch((e) => e))], [
          true,
          "ENOMEM",
        ]);
        const error = await soon(used);
        assertEquals(pastOf(error instanceof ClosedError ? error.cause : error), "ENOMEM");
        await until(() => heard.length > 0, "onError hears of it");
        assertEquals(heard.map(pastOf), ["ENOMEM"]);
        await socket.close();
      }),
  );
}

test("closed rejects for whoever asks for it after the end, and logs nothing that was asked for", async () => {
  const lines = await withLog(async () => {
    const socket = bound({ idleTimeoutMs: 1 });
    await until(() => socket.fd < 0, "it closes");
    assertInstanceOf(await socket.closed.catch((error) => error), TimeoutError);
    socket.ref(); // and a socket that is over keeps nothing alive
    socket.unref();
    await tick();
  });
  assertEquals(lines.length <= 1, true);
});

test("ref() and unref() are no counts, and another socket is not touched", async () => {
  await using server = echo();
  await using client = await dialled(server);
  for (const socket of [server, client]) {
    socket.unref();
    socket.unref();
    socket.ref();
  }
  const idle = bound();
  idle.unref();
  await idle.close();
  client.write(bytes("x"));
  await client.flush();
  assertEquals(await texts(client, 1), ["x"]);
});

test("a handler of a connected socket answers with reply(), as with write()", async () => {
  await using server = bound({ readTimeoutMs: 3000 });
  await using client = await dialled(server, {
    onDatagram: (datagram) => void datagram.reply(datagram.bytes),
  });
  server.writeTo(packPeer(client.localAddress), bytes("x"));
  await server.flush();
  assertEquals(await texts(server, 1), ["x"]);
});

test("a handler runs in the async context in which the socket was made", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const server = storage.run("ours", () =>
    bound({
      onDatagram: () => void seen.push(storage.getStore()),
    }));
  await using client = await dialled(server);
  client.write(bytes("x"));
  await client.flush();
  await until(() => seen.length > 0, "it comes");
  assertEquals(seen, ["ours"]);
  await server.close();
});

test("a socket that is bound keeps nothing from ending once it is closed, and holds no memory idle", async () => {
  await leaks(async () => {
    const sockets = Array.from({ length: 20 }, () => echo());
    await tick();
    for (const each of sockets) await each.close();
  });
});

test("two sockets talk to each other's addresses as they are told", async () => {
  await using a = bound({ readTimeoutMs: 3000 });
  await using b = bound({ readTimeoutMs: 3000 });
  a.writeTo(packPeer(b.localAddress), bytes("ping"));
  await a.flush();
  await b.wait();
  const datagram = b.datagrams.at(0);
  assertEquals(unpackPeer(datagram.peer), a.localAddress);
  assertEquals(datagram.reply(bytes("pong")), true);
  await b.flush();
  assertEquals(await texts(a, 1), ["pong"]);
  b.release();
});

test("what was flushed leaves although the program exits in the middle of a batch", async () => {
  const program = start(`${root}tests/support/datagram_exit.ts`);
  const port = (await program.find(/^port (\d+)/m))[1];
  await using client = await dialDatagram("udp4", `127.0.0.1:${port}`, { readTimeoutMs: 3000 });
  client.write(bytes("last words"));
  await client.flush();
  assertEquals(await texts(client, 1), ["last words"]);
  await program.ended;
});

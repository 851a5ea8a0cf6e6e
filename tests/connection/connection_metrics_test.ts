import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { test } from "node:test";
import { inspect } from "node:util";
import { type Connection, pipe } from "../../mod.ts";
import { lineOf, sendAll } from "../support/line.ts";
import { closeAll, pairWith, pattern, receive, send, tcpPair } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { serve } from "../support/serve.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { until } from "../support/until.ts";

test(
  "metrics() of a connection has its bytes both ways, and what waits",
  needs("tcp", "plain bytes"),
  async () => {
    const [a, b] = await tcpPair();
    await send(a, "hello");
    await b.reader.wait(5);
    b.reader.skip(2);
    const { unread, receivedBytes, sentBytes, unsent, state, fd } = b.metrics();
    assertEquals([state, fd], ["open", b.fd]);
    assertEquals([receivedBytes, sentBytes], [5, 0]);
    assertEquals([unread.bytes, unread.nodeCount], [3, 1]);
    assertGreater(unread.heldBytes, 0);
    assertEquals(unsent, { bytes: 0, heldBytes: 0, nodeCount: 0 });
    assertEquals(a.metrics().sentBytes, 5);
    assertEquals(b.metrics().remoteAddress, a.metrics().localAddress);
    assertEquals(b.metrics().tcp!.receivedBytes, 5);
    await closeAll(a, b);
  },
);

test("metrics() of a connection has what its peer does not take", async () => {
  const [a, b] = pairWith({ writeBufferBytesMax: 1 << 20 });
  b.pauseRead();
  a.writer.writeBinary(new Uint8Array(4 << 20), { copy: true });
  const flushed = a.writer.flush();
  const { unsent, sentBytes, flushCount, isWritable } = a.metrics();
  assertEquals(unsent.bytes + sentBytes, 4 << 20);
  assertGreater(unsent.bytes, 1 << 20);
  assertEquals([flushCount, isWritable], [1, false]);
  assertEquals(b.metrics().isReadPaused, true);
  a.reset();
  await flushed.catch(() => {});
  await closeAll(a, b);
});

test("metrics() of a connection says who waits", async () => {
  const [a, b] = pairWith();
  const waiting = a.reader.wait(1);
  assertEquals([a.metrics().isWaiting, b.metrics().isWaiting], [true, false]);
  await send(b, "x");
  await waiting;
  assertEquals(a.metrics().isWaiting, false);
  await closeAll(a, b);
});

test(
  "metrics() of a connection goes through the states of its life",
  needs("descriptor"),
  async () => {
    const states: string[] = [];
    const look = (connection: Connection): void => void states.push(connection.metrics().state);
    const { loop, listener, served } = serve(look, { onPrepare: look as () => undefined });
    using peer = new RawPeer(listener);
    peer.send("x");
    await until(() => states.length === 2, "the handler runs");
    assertEquals(states, ["preparing", "open"]);
    await loop.shutdown({ timeoutMs: 0 });
    await served;

    const [a, b] = pairWith();
    b.pauseRead();
    a.writer.writeBinary(new Uint8Array(4 << 20));
    void a.writer.flush().catch(() => {});
    void a.close();
    assertEquals([a.metrics().state, a.metrics().fd >= 0], ["draining", true]);
    a.reset();
    assertEquals([a.metrics().state, a.metrics().fd, a.metrics().tcp], ["closed", -1, null]);
    await closeAll(b);
  },
);

test("metrics() of a Unix connection has nothing of TCP, and of zero copy only where asked", async () => {
  const [a, b] = pairWith();
  assertEquals([a.metrics().tcp, a.metrics().zeroCopy], [null, null]);
  a.zeroCopy = "always";
  assertEquals(a.metrics().zeroCopy, a.zeroCopyCounts);
  await closeAll(a, b);
});

test(
  "metrics() of a piped connection says so, and has the bytes that pass",
  needs("tcp", "plain bytes"),
  async () => {
    const line = await lineOf("tcp");
    const piped = pipe(line.a, line.b);
    await send(line.client, "hello");
    await receive(line.server, 5);
    const { isPiped, receivedBytes, tcp } = line.a.metrics();
    assertEquals([isPiped, receivedBytes, tcp!.receivedBytes], [true, 5, 5]);
    await Promise.all([sendAll(line.client, pattern(10)), sendAll(line.server, pattern(10))]);
    await piped;
    await closeAll(line.client, line.a, line.b, line.server);
  },
);

test(
  "inspect() of a connection draws its state, its ends and its chains",
  needs("tcp"),
  async () => {
    const [a, b] = await tcpPair();
    await send(b, "hello");
    await a.reader.wait(5);
    a.reader.next(2);
    a.writer.writeString("abc");
    const { localAddress: at } = a;
    const port = at.transport === "tcp" ? at.port : 0;
    const lines = inspect(a).split("\n");
    assertMatch(
      lines[0]!,
      new RegExp(`^Connection open at descriptor ${a.fd}: 127.0.0.1:${port} ↔ `),
    );
    assertMatch(lines[1]!, /^ {2}input: 2 read, 3 bytes to read; 1 node, \d+ bytes held$/);
    assertMatch(
      lines[2]!,
      /^ {4}\|·█ {30}\| 2 read, 3 to read, 0 written, \d+ free; head, reading, /,
    );
    assertMatch(
      lines[3]!,
      /^ {2}output: 0 sent, 0 bytes to send, 3 written and not flushed; 1 node/,
    );
    assertMatch(lines[4]!, /^ {4}\|▒ {31}\| 0 read, 0 to read, 3 written, /);
    assertEquals(lines.length, 5);
    await closeAll(a, b);
    assertMatch(
      inspect(a),
      /^Connection closed: 127\.0\.0\.1:\d+ ↔ 127\.0\.0\.1:\d+\n {2}input: 2 read/,
    );
  },
);

test("inspect() of a connection says what it waits for", async () => {
  const [a, b] = pairWith();
  const waiting = a.reader.wait(1);
  a.pauseRead();
  assertMatch(inspect(a), /^Connection open.*; reading paused; somebody waits for bytes\n/);
  a.resumeRead();
  await send(b, "x");
  await waiting;
  await closeAll(a, b);
});

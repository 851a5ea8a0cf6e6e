/**
 * Everything that users get hold of prints itself: a name of the reference and its state, in few
 * words, whatever its state, and nothing secret.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  Cluster,
  Connection,
  ConnectionPool,
  createDatagramSocket,
  createListener,
  dial,
  EventLoop,
  FakeClock,
  lengthPrefixed,
  lines,
  LinkBuffer,
  memoryPair,
  Multiplexer,
  readerFrom,
  reconnecting,
  resp,
  ShardQueue,
  socketPair,
  tagged,
  writerTo,
} from "../mod.ts";
import { leaks } from "./support/leaks.ts";
import { closeAll } from "./support/pair.ts";
import { NO_TLS, serverIdentity } from "./support/pki.ts";
import { soon } from "./support/until.ts";

const COLUMNS_MAX = 120;
const LINES_MAX = 12;

function check(name: string, value: object): void {
  const text = inspect(value);
  const lines = text.split("\n");
  assert(text.startsWith(name), text);
  assert(lines.length <= LINES_MAX, text);
  for (const line of lines) assert(line.length <= COLUMNS_MAX, line);
  assert(!/Getter|Function|core|inside|undefined/.test(text), text);
}

test("objects print their name and their state, open and closed", () =>
  leaks(async () => {
    const codec = tagged(lengthPrefixed());
    const listener = createListener("tcp", "127.0.0.1:0");
    const loop = new EventLoop(({ reader }) => reader.skip(reader.length));
    check("EventLoop", loop);
    const served = loop.serve(listener);
    const pool = new ConnectionPool(listener.address, { max: 2 });
    const lease = await pool.acquire();
    const client = reconnecting(listener.address, codec);
    const connection = await dial(listener.address);
    const [a, b] = memoryPair();
    const [c, d] = socketPair();
    const mux = new Multiplexer(a, codec);
    const queue = new ShardQueue(c);
    const socket = createDatagramSocket("udp", "127.0.0.1:0");
    const reader = readerFrom(new ReadableStream());
    const writer = writerTo({ write() {} });
    const objects: [string, object][] = [
      ["EventLoop {", loop],
      ["Listener {", listener],
      ["ConnectionPool {", pool],
      ["Lease {", lease],
      ["Reconnecting {", client],
      ["Connection ", connection],
      ["Connection ", a],
      ["Reader {", connection.reader],
      ["Writer {", connection.writer],
      ["Reader {", reader],
      ["Writer {", writer],
      ["Multiplexer {", mux],
      ["ShardQueue {", queue],
      ["DatagramSocket {", socket],
      ["Datagrams {", socket.datagrams],
      ["LinkBuffer:", new LinkBuffer()],
      ["ByteCodec {", lines()],
      ["RespCodec {", resp()],
      ["Cluster {", new Cluster(new URL("file:///nowhere.ts"))],
    ];
    for (const [name, value] of objects) check(name, value);
    assertMatch(
      inspect(loop),
      /state: .serving.[^]*hostname: .127\.0\.0\.1.[^]*connectionCount: \d/,
    );
    lease.release();
    await soon(client.close());
    await soon(pool.drain());
    await mux.close();
    await queue.close();
    await socket.close();
    await reader.close();
    await writer.close();
    await closeAll(b, c, d, connection);
    await soon(loop.shutdown());
    await served;
    for (const [name, value] of objects) check(name, value);
    assertMatch(inspect(loop), /state: .shut down./);
  }));

test("FakeClock prints its time", () => {
  using clock = new FakeClock();
  check("FakeClock {", clock);
});

test("what only looks like one of ours prints a name, and printing throws nothing", () => {
  const classes = { Cluster, Connection, ConnectionPool, EventLoop, LinkBuffer, Multiplexer };
  for (const [name, { prototype }] of Object.entries(classes)) {
    assertEquals(inspect(Object.create(prototype)), `[${name}]`);
    assertEquals(typeof inspect(prototype), "string");
  }
});

test("a listener and a loop with TLS print nothing of their key", { skip: NO_TLS }, async () => {
  const tls = serverIdentity();
  const listener = createListener("tcp", "127.0.0.1:0", { tls });
  const loop = new EventLoop(null);
  const served = loop.serve(listener);
  for (const each of [listener, loop]) {
    assert(!/BEGIN|PRIVATE|key/i.test(inspect(each, { depth: 9 })), inspect(each));
  }
  await loop.shutdown();
  await served;
});

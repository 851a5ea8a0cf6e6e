/**
 * Objects have no members at run time but those that their types declare. The compiler holds each
 * table against the type; the tests hold the object against the table.
 */
import { assert, assertEquals } from "@std/assert";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import {
  type BufferReader,
  type ByteCodec,
  Cluster,
  Connection,
  createListener,
  delimited,
  dial,
  EventLoop,
  fixedLength,
  lengthPrefixed,
  lines,
  LinkBuffer,
  type Listener,
  memoryPair,
  Multiplexer,
  ordered,
  pipe,
  type Reader,
  readerFrom,
  resp,
  type RespCodec,
  responder,
  ShardQueue,
  type SinkWriter,
  socketPair,
  type SourceReader,
  tagged,
  varintPrefixed,
  type Writer,
  writerTo,
} from "../mod.ts";
import { TestCluster } from "./support/cluster.ts";
import { leaks } from "./support/leaks.ts";
import { closeAll } from "./support/pair.ts";
import { byText, reachable } from "./support/reachable.ts";
import { soon } from "./support/until.ts";

type Shape<T> = { readonly [name in keyof T]-?: 1 };

const BUFFER_READER: Shape<BufferReader> = {
  length: 1,
  next: 1,
  peek: 1,
  skip: 1,
  until: 1,
  indexOf: 1,
  readString: 1,
  peekString: 1,
  readBinary: 1,
  readInto: 1,
  readByte: 1,
  readUint8: 1,
  readInt8: 1,
  readUint16BE: 1,
  readUint16LE: 1,
  readInt16BE: 1,
  readInt16LE: 1,
  readUint32BE: 1,
  readUint32LE: 1,
  readInt32BE: 1,
  readInt32LE: 1,
  readBigUint64BE: 1,
  readBigUint64LE: 1,
  readBigInt64BE: 1,
  readBigInt64LE: 1,
  readFloat32BE: 1,
  readFloat32LE: 1,
  readFloat64BE: 1,
  readFloat64LE: 1,
  readVarint: 1,
  slice: 1,
  release: 1,
};

const READER: Shape<Reader> = { ...BUFFER_READER, wait: 1, waitUntil: 1 };

const WRITER: Shape<Writer> = {
  mallocLength: 1,
  isWritable: 1,
  malloc: 1,
  mallocAck: 1,
  writeString: 1,
  writeBinary: 1,
  writeByte: 1,
  writeUint8: 1,
  writeInt8: 1,
  writeUint16BE: 1,
  writeUint16LE: 1,
  writeInt16BE: 1,
  writeInt16LE: 1,
  writeUint32BE: 1,
  writeUint32LE: 1,
  writeInt32BE: 1,
  writeInt32LE: 1,
  writeBigUint64BE: 1,
  writeBigUint64LE: 1,
  writeBigInt64BE: 1,
  writeBigInt64LE: 1,
  writeFloat32BE: 1,
  writeFloat32LE: 1,
  writeFloat64BE: 1,
  writeFloat64LE: 1,
  writeVarint: 1,
  writeDirect: 1,
  append: 1,
  flush: 1,
  released: 1,
};

/** Reads that have no counterpart that writes: they read as others do, and keep or fill. */
const READS_ALONE = ["readInto"];

test("writers write all that readers read, by names that differ in one word", () => {
  const reads = Object.keys(BUFFER_READER).filter((name) => name.startsWith("read"))
    .filter((name) => !READS_ALONE.includes(name));
  const writes = Object.keys(WRITER).filter((name) => name.startsWith("write"))
    .filter((name) => name !== "writeDirect"); // it inserts, and nothing reads from the middle
  assertEquals(reads.map((name) => name.replace("read", "write")).sort(), writes.sort());
});

const LINK_BUFFER: Shape<LinkBuffer> = {
  ...BUFFER_READER,
  ...WRITER,
  close: 1,
  [Symbol.dispose]: 1,
};
const SOURCE_READER: Shape<SourceReader> = { ...READER, close: 1, [Symbol.asyncDispose]: 1 };
const SINK_WRITER: Shape<SinkWriter> = { ...WRITER, close: 1, [Symbol.asyncDispose]: 1 };

/** The object has what its type declares, and nothing else; what made it has those statics. */
function assertShape(object: object, shape: object, ...own: string[]): void {
  assertEquals(reachable(object), Reflect.ownKeys(shape).sort(byText));
  const maker = (object as { constructor: object }).constructor;
  if (maker === Object) return;
  const statics = Reflect.ownKeys(maker).filter((name) => !Object.hasOwn(Function, name));
  const usual = ["name", "length", "prototype"].filter((name) => statics.includes(name));
  assertEquals(statics.sort(), [...usual, ...own].sort());
}

test("a LinkBuffer and a slice show what LinkBuffer declares", () => {
  const buffer = new LinkBuffer();
  buffer.writeString("ab");
  buffer.flush();
  const slice = buffer.slice(1);
  for (const each of [buffer, slice]) {
    assertShape(each, LINK_BUFFER);
    assert(each instanceof LinkBuffer);
  }
  for (const other of [{}, null, slice.peek(1)]) {
    assert(!((other as unknown) instanceof LinkBuffer));
  }
  slice.close();
  buffer.close();
});

test("readers and writers show what Reader and Writer declare", async () => {
  const [a, b] = socketPair();
  assertShape(a.reader, READER);
  assertShape(a.writer, WRITER);
  await closeAll(a, b);
  const reader = readerFrom(new ReadableStream());
  assertShape(reader, SOURCE_READER);
  await reader.close();
  assertShape(writerTo({ write() {} }), SINK_WRITER);
});

const codec = tagged(lengthPrefixed());

const CONNECTION: Shape<Connection> = {
  reader: 1,
  writer: 1,
  isActive: 1,
  fd: 1,
  localAddress: 1,
  remoteAddress: 1,
  closed: 1,
  readTimeoutMs: 1,
  writeTimeoutMs: 1,
  idleTimeoutMs: 1,
  tls: 1,
  startTls: 1,
  zeroCopy: 1,
  zeroCopyCounts: 1,
  isReadPaused: 1,
  setOnRequest: 1,
  addCloseCallback: 1,
  pauseRead: 1,
  proxy: 1,
  resumeRead: 1,
  sendFile: 1,
  receiveFile: 1,
  closeWrite: 1,
  close: 1,
  reset: 1,
  detach: 1,
  metrics: 1,
  [Symbol.asyncDispose]: 1,
};

/** Every connection that users get hold of, each in another way. */
async function allWays(use: (connection: Connection) => void): Promise<void> {
  const [a, b] = socketPair();
  const again = Connection.fromFd(a.detach(), { onConnect: (connection) => use(connection) });
  const client = new Multiplexer(again, codec);
  const loop = new EventLoop<undefined>((connection) => {
    use(connection);
    connection.setOnRequest((later) => {
      use(later);
      later.reader.skip(later.reader.length);
      throw new Error("for onError");
    });
  }, {
    onPrepare: (connection) => use(connection) as undefined,
    onConnect(connection) {
      use(connection);
      connection.addCloseCallback(use);
      return undefined;
    },
    onDisconnect: use,
    onError: (_, connection) => use(connection),
  });
  const served = loop.serve(createListener("unix", "@netpoll-shape-of-one"));
  const dialled = await dial("unix", "@netpoll-shape-of-one", { onConnect: use });
  const others = [...memoryPair(), Connection.fromDuplex(new PassThrough())];
  for (const each of [a, b, again, dialled, ...others]) use(each);
  dialled.writer.writeString("ab");
  await dialled.writer.flush();
  await dialled.reader.wait(3).catch(() => {}); // the server closes it
  await dialled.close();
  b.setOnRequest(responder(codec, (body, { connection }) => {
    use(connection);
    return body;
  }));
  await client.request("ab");
  await client.close();
  const [c, d] = socketPair();
  const [e, f] = socketPair();
  const piped = pipe(d, e);
  for (const each of [d, e]) use(each);
  await closeAll(c, f);
  await piped;
  await closeAll(b, ...others);
  for (const each of [a, b, again, d, e, dialled, ...others]) use(each);
  await loop.shutdown();
  await served;
}

test("a connection shows what Connection declares, however one got hold of it", () =>
  leaks(async () => {
    const seen = new Set<Connection>();
    await allWays((connection) => {
      seen.add(connection);
      assert(connection instanceof Connection);
      assertShape(connection, CONNECTION, "fromFd", "fromDuplex");
    });
    assertEquals(seen.size, 10);
  }));

test("a connection shows what Connection declares in the Worker of a cluster", async () => {
  await using test = new TestCluster({ pollerCount: 1 });
  const names = Reflect.ownKeys(CONNECTION).sort(byText).map(String).join(" ");
  const peer = test.connect();
  peer.send("shape");
  assertEquals(await soon(peer.receive(names.length)), names);
  peer.close();
});

/** Of these there may be some within reach of a connection. */
const HARMLESS = new Set([
  "Array",
  "Object",
  "Connection",
  "ConnectionReader",
  "ConnectionWriter",
  "Promise",
  "Uint8Array",
  "ArrayBuffer",
  "Error",
  "ClosedError",
  "EofError",
  "SystemError",
  "TypeError",
]);

/** Everything that can be reached of a value by reading properties, accessors included. */
function* within(value: unknown, seen = new Set<unknown>()): Generator<object> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return;
  if (seen.has(value)) return;
  seen.add(value);
  yield value;
  if (typeof value === "function") return;
  for (let at: object = value; at !== null && at !== Object.prototype;) {
    for (const name of Reflect.ownKeys(at)) yield* within(tried(value, name), seen);
    at = Object.getPrototypeOf(at);
  }
}

function tried(object: object, name: PropertyKey): unknown {
  try {
    return Reflect.get(object, name);
  } catch (error) {
    return error;
  }
}

test("nothing inside is within reach of a connection, of what it gives, and of its errors", () =>
  leaks(async () => {
    const check = (root: unknown) => {
      for (const each of within(root)) {
        if (typeof each === "function") continue;
        const { constructor } = each as { constructor?: { name: string } };
        assert(HARMLESS.has(constructor?.name ?? "Object"), constructor?.name);
      }
    };
    await allWays((connection) => check([connection, connection.metrics()]));
    const [a, b] = socketPair();
    function callback(this: unknown, ...given: unknown[]): void {
      assertEquals(this, undefined);
      check(given);
    }
    a.setOnRequest(callback);
    a.addCloseCallback(callback);
    b.writer.writeString("x");
    await b.writer.flush();
    await a.reader.wait(1);
    const waiting = a.reader.wait(2).catch((error) => error);
    a.reset();
    check(await waiting);
    check(await a.writer.flush().catch((error) => error));
    check(await a.sendFile("/").catch((error) => error));
    await closeAll(a, b);
  }));

const LISTENER: Shape<Listener> = {
  address: 1,
  fd: 1,
  reloadTls: 1,
  close: 1,
  [Symbol.dispose]: 1,
};
const EVENT_LOOP: Shape<EventLoop> = {
  serve: 1,
  shutdown: 1,
  metrics: 1,
  connectionCount: 1,
  ref: 1,
  unref: 1,
};
const MULTIPLEXER: Shape<Multiplexer<unknown, unknown>> = {
  pendingCount: 1,
  strayCount: 1,
  isActive: 1,
  closed: 1,
  request: 1,
  drain: 1,
  close: 1,
  [Symbol.asyncDispose]: 1,
};
const SHARD_QUEUE: Shape<ShardQueue> = { length: 1, add: 1, close: 1, [Symbol.asyncDispose]: 1 };

test("a listener, a loop, a multiplexer and a queue show what their types declare", async () => {
  const [a, b] = socketPair();
  const listener = createListener("unix", "@netpoll-shapes");
  const client = new Multiplexer(a, codec);
  assertShape(listener, LISTENER);
  assertShape(new EventLoop(null), EVENT_LOOP);
  assertShape(client, MULTIPLEXER);
  assertShape(new ShardQueue(b), SHARD_QUEUE);
  listener.close();
  await client.close();
  await closeAll(b);
});

const CLUSTER: Shape<Cluster> = {
  pollerCount: 1,
  connectionCount: 1,
  pollers: 1,
  metrics: 1,
  serve: 1,
  bindDatagram: 1,
  resize: 1,
  ref: 1,
  unref: 1,
  shutdown: 1,
};

test("a cluster shows what its type declares, and composed codecs do", () => {
  assertShape(new Cluster(new URL("file:///nowhere.ts")), CLUSTER);
  const composed = { decode: 1, encode: 1, needed: 1 };
  for (const codec of [tagged(lengthPrefixed()), ordered(resp())]) assertShape(codec, composed);
});

const BYTE_CODEC: Shape<ByteCodec> = {
  decode: 1,
  encode: 1,
  needed: 1,
  frameBytesMax: 1,
  frameBytes: 1,
  slice: 1,
};
const RESP_CODEC: Shape<RespCodec<string>> = { decode: 1, encode: 1, needed: 1, frameBytesMax: 1 };

test("a codec shows what its type declares, after it was used as well", () => {
  const buffer = new LinkBuffer();
  const ofBytes = [lengthPrefixed(), varintPrefixed(), lines(), delimited(0), fixedLength(2)];
  for (const codec of ofBytes) {
    codec.encode(buffer, "ab");
    buffer.flush();
    assertEquals(codec.decode(buffer)?.length, 2);
    assertShape(codec, BYTE_CODEC);
  }
  const codec = resp({ bulk: "text" });
  codec.encode(buffer, "ab");
  buffer.flush();
  assertEquals(codec.decode(buffer), "ab");
  assertShape(codec, RESP_CODEC);
  buffer.close();
});

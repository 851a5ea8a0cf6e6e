/**
 * What can be reached of an object at run time is what its type declares. The compiler holds each
 * table against the type; the tests hold the object against the table.
 */
import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  type BufferReader,
  type ByteCodec,
  Cluster,
  createListener,
  delimited,
  EventLoop,
  fixedLength,
  lengthPrefixed,
  lines,
  LinkBuffer,
  type Listener,
  Multiplexer,
  ordered,
  type Reader,
  readerFrom,
  resp,
  type RespCodec,
  ShardQueue,
  type SinkWriter,
  socketPair,
  type SourceReader,
  tagged,
  varintPrefixed,
  type Writer,
  writerTo,
} from "../mod.ts";
import { closeAll } from "./support/pair.ts";

type Shape<T> = { readonly [name in keyof T]-?: 1 };

const BUFFER_READER: Shape<BufferReader> = {
  length: 1,
  next: 1,
  peek: 1,
  skip: 1,
  until: 1,
  indexOf: 1,
  readString: 1,
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

const LINK_BUFFER: Shape<LinkBuffer> = {
  ...BUFFER_READER,
  ...WRITER,
  close: 1,
  [Symbol.dispose]: 1,
};
const SOURCE_READER: Shape<SourceReader> = { ...READER, close: 1, [Symbol.asyncDispose]: 1 };
const SINK_WRITER: Shape<SinkWriter> = { ...WRITER, close: 1, [Symbol.asyncDispose]: 1 };

/** What every object has, and `console.log` asks for. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** All that can be reached, own and inherited. */
function reachable(object: object): PropertyKey[] {
  const names = new Set<PropertyKey>();
  for (let at: object = object; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Reflect.ownKeys(at)) names.add(name);
  }
  names.delete("constructor");
  names.delete(INSPECT);
  return [...names].sort(byText);
}

function byText(a: PropertyKey, b: PropertyKey): number {
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

/** The object has what its type declares, and nothing else; neither has what made it. */
function assertShape(object: object, shape: object): void {
  assertEquals(reachable(object), Reflect.ownKeys(shape).sort(byText));
  const maker = (object as { constructor: object }).constructor;
  if (maker === Object) return;
  const statics = Reflect.ownKeys(maker).filter((name) => !Object.hasOwn(Function, name));
  assertEquals(statics, ["name", "length", "prototype"].filter((name) => statics.includes(name)));
}

test("a LinkBuffer and a slice show what LinkBuffer declares", () => {
  const buffer = new LinkBuffer();
  buffer.writeString("ab");
  buffer.flush();
  const slice = buffer.slice(1);
  for (const each of [buffer, slice]) assertShape(each, LINK_BUFFER);
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

const LISTENER: Shape<Listener> = { address: 1, fd: 1, close: 1, [Symbol.dispose]: 1 };
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
  request: 1,
  close: 1,
  [Symbol.asyncDispose]: 1,
};
const SHARD_QUEUE: Shape<ShardQueue> = { length: 1, add: 1, close: 1, [Symbol.asyncDispose]: 1 };

test("a listener, a loop, a multiplexer and a queue show what their types declare", async () => {
  const [a, b] = socketPair();
  const listener = createListener("unix", "@netpoll-shapes");
  const client = new Multiplexer(a, tagged(lengthPrefixed()));
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
  const codec = resp({ bulk: "text", inline: true });
  codec.encode(buffer, "ab");
  buffer.flush();
  assertEquals(codec.decode(buffer), "ab");
  assertShape(codec, RESP_CODEC);
  buffer.close();
});

/**
 * examples/mqtt/: packets at every split, topics, and what a broker keeps.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Broker, type Member } from "../../examples/mqtt/broker.ts";
import { type ClientPacket, type Message, packets, type Qos } from "../../examples/mqtt/packet.ts";
import type { Session } from "../../examples/mqtt/session.ts";
import { isFilter, isTopic, matches, Subscriptions } from "../../examples/mqtt/topic.ts";
import { FrameError, LinkBuffer } from "../../mod.ts";

// ---- packets ----------------------------------------------------------------------------------------

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** A packet whose body is made of these. */
function packet(first: number, ...parts: (number | Buffer)[]): Buffer {
  const pieces = parts.map((part) => typeof part === "number" ? Buffer.from([part]) : part);
  const body = Buffer.concat(pieces);
  const length: number[] = [];
  for (let rest = body.length; rest > 0 || length.length === 0; rest >>= 7) {
    length.push(rest & 0x7f | (rest > 0x7f ? 0x80 : 0));
  }
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

const MQTT = [text("MQTT"), 4];
const CONNECT = packet(0x10, ...MQTT, 0x02, 0, 60, text("me"));

/** All packets of bytes that come in these pieces, as text: payloads are lent. */
function decoded(pieces: readonly Uint8Array[]): string[] {
  const buffer = new LinkBuffer();
  try {
    const all: string[] = [];
    for (const piece of pieces) {
      buffer.writeBinary(piece);
      buffer.flush();
      for (let next: ClientPacket | undefined; (next = packets.decode(buffer)) !== undefined;) {
        all.push(JSON.stringify(next, (_, value) => {
          return value?.type === "Buffer" ? Buffer.from(value.data).toString() : value;
        }));
      }
      buffer.release();
      assert(packets.needed!(buffer) > buffer.length, "there is enough, and no packet");
    }
    assertEquals(buffer.length, 0);
    return all;
  } finally {
    buffer.close();
  }
}

test("packets.decode() understands each packet of a client, wherever its bytes are split", () => {
  const bytes = Buffer.concat([
    CONNECT,
    packet(0x10, ...MQTT, 0xee, 0, 9, ...["id", "w", "bye", "user", "pass"].map(text)),
    packet(0x30, text("a/ü"), Buffer.from("hello")),
    packet(0x3d, text("a"), 1, 2, Buffer.alloc(200, "x")),
    packet(0x40, 0, 1),
    packet(0x62, 0xff, 0xff),
    packet(0x82, 0, 7, text("a/#"), 2, text("+/b"), 0),
    packet(0xa2, 0, 8, text("#")),
    packet(0xc0),
    packet(0xe0),
  ]);
  const whole = decoded([bytes]);
  const will = { topic: "w", payload: { 0: 98, 1: 121, 2: 101 }, qos: 1, retain: true };
  assertEquals(whole.map((each) => JSON.parse(each)), [
    { type: "connect", level: 4, clientId: "me", isClean: true, keepAliveSeconds: 60, will: null },
    { type: "connect", level: 4, clientId: "id", isClean: true, keepAliveSeconds: 9, will },
    {
      ...{ type: "publish", topic: "a/ü", payload: "hello", qos: 0, retain: false, id: 0 },
      isRepeated: false,
    },
    {
      ...{ type: "publish", topic: "a", payload: "x".repeat(200), qos: 2, retain: true, id: 258 },
      isRepeated: true,
    },
    { type: "puback", id: 1 },
    { type: "pubrel", id: 65535 },
    { type: "subscribe", id: 7, filters: [["a/#", 2], ["+/b", 0]] },
    { type: "unsubscribe", id: 8, filters: ["#"] },
    { type: "pingreq" },
    { type: "disconnect" },
  ]);
  for (let at = 1; at < bytes.length; at++) {
    assertEquals(decoded([bytes.subarray(0, at), bytes.subarray(at)]), whole, `split at ${at}`);
  }
  assertEquals(decoded(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole);
});

test("packets.decode() throws for what is no packet, and consumes nothing of it", () => {
  const wrong: [string, Buffer][] = [
    ["a reserved type", packet(0x00)],
    ["a packet of brokers", packet(0x20, 0, 0)],
    ["flags of PINGREQ", packet(0xc1)],
    ["flags of SUBSCRIBE", packet(0x80, 0, 1, text("a"), 0)],
    ["a length without an end", Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff])],
    ["a length above the bound", Buffer.from([0x30, 0xff, 0xff, 0x7f])],
    ["QoS 3", packet(0x36, text("a"), 0, 1)],
    ["a repetition of QoS 0", packet(0x38, text("a"))],
    ["the number 0", packet(0x32, text("a"), 0, 0)],
    ["a topic with a wildcard", packet(0x30, text("a/+"))],
    ["an empty topic", packet(0x30, text(""))],
    ["a topic as deep as a well", packet(0x30, text("/".repeat(60_000)))],
    ["a topic that goes on behind the packet", packet(0x30, 0, 9, 97)],
    ["no UTF-8", packet(0x30, 0, 2, 0xc3, 0x28)],
    ["a zero in a text", packet(0x30, 0, 1, 0)],
    ["no filters", packet(0x82, 0, 1)],
    ["a wildcard within a level", packet(0x82, 0, 1, text("a+"), 0)],
    ["a QoS of filters", packet(0x82, 0, 1, text("a"), 3)],
    ["more than there should be", packet(0x40, 0, 1, 0)],
    ["another protocol", packet(0x10, text("HTTP"), 4, 2, 0, 0, text(""))],
    ["a reserved flag of CONNECT", packet(0x10, ...MQTT, 3, 0, 0, text(""))],
    ["a will's QoS without a will", packet(0x10, ...MQTT, 0x0a, 0, 0, text(""))],
    ["a password without a name", packet(0x10, ...MQTT, 0x42, 0, 0, text(""), text(""))],
  ];
  for (const [what, bytes] of wrong) {
    const buffer = new LinkBuffer();
    buffer.writeBinary(bytes);
    buffer.flush();
    const { length } = buffer;
    assertThrows(() => packets.decode(buffer), FrameError, undefined, what);
    assertEquals(buffer.length, length, what);
    buffer.close();
  }
});

// ---- topics -----------------------------------------------------------------------------------------

const FILTERS = ["#", "+", "a", "a/#", "a/+", "+/b", "a/b/#", "/", "/#", "+/+", "$SYS/#", "$SYS/+"];
const TOPICS = ["a", "a/b", "a/b/c", "/", "/a", "b", "a/", "$SYS", "$SYS/x", "b/b"];

test("matches() follows the examples of the standard", () => {
  const matching = (filter: string) => TOPICS.filter((topic) => matches(filter, topic));
  assertEquals(matching("#"), ["a", "a/b", "a/b/c", "/", "/a", "b", "a/", "b/b"]);
  assertEquals(matching("a/#"), ["a", "a/b", "a/b/c", "a/"]);
  assertEquals(matching("+"), ["a", "b"]);
  assertEquals(matching("+/+"), ["a/b", "/", "/a", "a/", "b/b"]);
  assertEquals(matching("$SYS/#"), ["$SYS", "$SYS/x"]);
});

test("Subscriptions find what matches() finds, and nothing that was taken back", () => {
  const tree = new Subscriptions<string>();
  for (const filter of FILTERS) tree.add(filter, filter, 1);
  const found = (topic: string) => [...tree.find(topic).keys()].sort();
  for (const topic of TOPICS) {
    assertEquals(found(topic), FILTERS.filter((filter) => matches(filter, topic)).sort(), topic);
  }
  for (const filter of FILTERS) tree.delete(filter, filter);
  for (const topic of TOPICS) assertEquals(found(topic), []);
  tree.add("a/+", "one", 1);
  tree.add("a/b", "one", 2);
  assertEquals(tree.find("a/b"), new Map([["one", 2]]));
});

test("isFilter() and isTopic() refuse wildcards out of place", () => {
  for (const filter of ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+", "##", "++"]) {
    assert(!isFilter(filter), filter);
  }
  for (const filter of [...FILTERS, "+/+/#", "a/+/b", " "]) assert(isFilter(filter), filter);
  assert(TOPICS.every(isTopic) && !isTopic("") && !isTopic("a/#"));
});

// ---- the broker -------------------------------------------------------------------------------------

/** A client of a broker, without a connection: what it was sent is in its buffer. */
class Fake implements Member {
  readonly writer = new LinkBuffer();
  isReplaced = false;
  session!: Session;
  onWritten(): void {}
  onReplaced(): void {
    this.isReplaced = true;
  }

  /** The packets that it was sent since, in short. */
  sent(): string[] {
    this.writer.flush();
    const bytes = Buffer.from(this.writer.readBinary(this.writer.length));
    this.writer.release();
    const all: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const body = bytes.subarray(at + 2, at + 2 + bytes[at + 1]!);
      const id = body.length === 2 ? body.readUInt16BE() : body.toString("latin1");
      all.push(`${bytes[at]!.toString(16)} ${id}`);
      at += 2 + body.length;
    }
    return all;
  }

  enter(broker: Broker, id: string, isClean = true): boolean {
    const { session, isOld } = broker.enter(id, isClean, this);
    this.session = session;
    session.resume(this);
    return isOld;
  }
}

function message(topic: string, payload: string, qos: Qos, retain = false): Message {
  return { topic, payload: Buffer.from(payload), qos, retain };
}

test("a message of QoS 2 is published once, however often it is sent, and acknowledged each time", () => {
  const broker = new Broker();
  const [from, to] = [new Fake(), new Fake()];
  from.enter(broker, "from");
  to.enter(broker, "to");
  broker.subscribe(to.session, [["t", 0]]);
  const packet = { ...message("t", "x", 2), type: "publish", id: 5, isRepeated: false } as const;
  broker.receive(from.session, packet);
  broker.receive(from.session, { ...packet, isRepeated: true });
  assertEquals([from.sent(), to.sent()], [["50 5", "50 5"], ["30 \0\x01tx"]]);
  from.session.onReleased(5);
  broker.receive(from.session, packet);
  assertEquals([from.sent(), to.sent()], [["70 5", "50 5"], ["30 \0\x01tx"]]);
});

test("a session is sent what it has not acknowledged, and what came while it was away", () => {
  const broker = new Broker();
  const first = new Fake();
  assertEquals(first.enter(broker, "me", false), false);
  broker.subscribe(first.session, [["#", 2]]);
  for (const [payload, qos] of [["a", 1], ["b", 2], ["c", 2]] as const) {
    broker.publish(message("t", payload, qos));
  }
  assertEquals(first.sent(), ["32 \0\x01t\0\x01a", "34 \0\x01t\0\x02b", "34 \0\x01t\0\x03c"]);
  first.session.onAcknowledged("pubrec", 2);
  assertEquals(first.sent(), ["62 2"]);
  broker.leave("me", first);
  broker.publish(message("t", "once", 0));
  broker.publish(message("t", "d", 1));
  const second = new Fake();
  assertEquals(second.enter(broker, "me", false), true);
  assertEquals(second.sent(), [
    "3a \0\x01t\0\x01a",
    "62 2",
    "3c \0\x01t\0\x03c",
    "32 \0\x01t\0\x04d",
  ]);
  second.session.onAcknowledged("pubcomp", 2);
  second.session.onAcknowledged("puback", 1);
  broker.leave("me", second);
  const third = new Fake();
  third.enter(broker, "me", false);
  assertEquals(third.sent(), ["3c \0\x01t\0\x03c", "3a \0\x01t\0\x04d"]);
  broker.leave("me", third);
  const clean = new Fake();
  assertEquals(clean.enter(broker, "me", true), false);
  broker.publish(message("t", "e", 1));
  assertEquals(clean.sent(), []);
});

test("a client that acknowledges nothing has few messages on their way, and a bounded queue", () => {
  const broker = new Broker();
  const client = new Fake();
  client.enter(broker, "me");
  broker.subscribe(client.session, [["t", 1]]);
  for (let n = 0; n < 10_100; n++) broker.publish(message("t", "x", 1));
  assertEquals(client.sent().length, 20);
  assertEquals(client.session.droppedCount, 80);
  for (let id = 1; id <= 20; id++) client.session.onAcknowledged("puback", id);
  client.session.onAcknowledged("puback", 1); // nobody has sent that one again
  assertEquals(client.sent().length, 20);
});

test("what sessions hold is bounded in bytes, each and all together, and given back", () => {
  const broker = new Broker();
  const clients = Array.from({ length: 40 }, (_, n) => {
    const client = new Fake();
    client.enter(broker, `${n}`);
    broker.subscribe(client.session, [[`t/${n}`, 2]]);
    return client;
  });
  const payload = Buffer.alloc(1 << 20);
  const droppedBy = (n: number) => {
    const before = clients[n]!.session.droppedCount;
    for (let k = 0; k < 9; k++) broker.publish({ ...message(`t/${n}`, "", 2), payload });
    return clients[n]!.session.droppedCount - before;
  };
  // Of 8 MiB there is room for 7 and what they cost beside; of 256 MiB for 36 times that, and three.
  const dropped = clients.map((_, n) => droppedBy(n));
  assertEquals(dropped, [...new Array(36).fill(2), 6, 9, 9, 9]);
  for (let id = 1; id <= 7; id++) clients[0]!.session.onAcknowledged("pubrec", id);
  broker.leave("1", clients[1]!);
  assertEquals([droppedBy(37), droppedBy(39)], [2, 2]);
  assertEquals(droppedBy(38), 9);
});

test("a client that releases no message of QoS 2 is cut off after a thousand", () => {
  const broker = new Broker();
  const client = new Fake();
  client.enter(broker, "me");
  const send = (id: number) =>
    broker.receive(client.session, {
      ...message("t", "", 2),
      type: "publish",
      id,
      isRepeated: false,
    });
  for (let id = 1; id <= 1000; id++) send(id);
  send(1000);
  assertThrows(() => send(1001), FrameError);
  client.session.onReleased(1);
  send(1001);
});

test("a message that is kept goes to those who come later, until an empty one takes it back", () => {
  const broker = new Broker();
  const client = new Fake();
  client.enter(broker, "me");
  const ask = () => {
    const codes = broker.subscribe(client.session, [["k/+", 1]]);
    broker.sendRetained(client.session, "k/+", 1);
    return [codes, client.sent()];
  };
  broker.publish(message("k/a", "1", 0, true));
  broker.publish(message("k/a", "2", 0, true));
  broker.publish(message("k/b", "3", 0));
  assertEquals(ask(), [[1], ["31 \0\x03k/a2"]]);
  broker.publish(message("k/a", "4", 0, true));
  assertEquals(client.sent(), ["30 \0\x03k/a4"]);
  broker.publish(message("k/a", "", 0, true));
  assertEquals(client.sent(), ["30 \0\x03k/a"]);
  assertEquals(ask(), [[1], []]);
});

test("a client takes the place of one with its name, and only so many filters", () => {
  const broker = new Broker();
  const [first, second] = [new Fake(), new Fake()];
  first.enter(broker, "me");
  second.enter(broker, "me");
  broker.leave("me", first);
  const filters = Array.from({ length: 101 }, (_, n) => [`f/${n}`, 0] as const);
  const codes = broker.subscribe(second.session, filters);
  assertEquals([first.isReplaced, second.isReplaced], [true, false]);
  assertEquals([codes[99], codes[100]], [0, 128]);
  broker.publish(message("f/1", "x", 0));
  broker.unsubscribe(second.session, ["f/1"]);
  broker.publish(message("f/1", "x", 0));
  assertEquals([first.sent(), second.sent()], [[], ["30 \0\x03f/1x"]]);
});

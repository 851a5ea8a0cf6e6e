/**
 * The packets of MQTT 3.1.1, as a codec (OASIS, MQTT Version 3.1.1, sections 2 and 3).
 */
import { Buffer } from "node:buffer";
import { type BufferReader, type Codec, FrameError, type Writer } from "../../mod.ts";
import { isFilter, isTopic } from "./topic.ts";

/** The longest packet that is taken, and with it the longest message. */
export const PACKET_BYTES_MAX = 1 << 20;
/** The length behind the first byte has at most so many bytes (section 2.2.3). */
const LENGTH_BYTES_MAX = 4;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The number of times that a message arrives: at most once, at least once, exactly once. */
export type Qos = 0 | 1 | 2;

/** A message under a topic. */
export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
}

/** The first packet of a client. */
export interface Connect {
  readonly type: "connect";
  /** 4 is MQTT 3.1.1. Of other versions nothing else is known. */
  readonly level: number;
  readonly clientId: string;
  readonly isClean: boolean;
  readonly keepAliveSeconds: number;
  /** The message that is published when the client is lost. */
  readonly will: Message | null;
}

/** A message on its way. What is decoded has a payload that is **lent**. */
export interface Publish extends Message {
  readonly type: "publish";
  readonly isRepeated: boolean;
  /** 0 where the QoS is 0. */
  readonly id: number;
}

/** A packet that only names another. */
export interface Ack {
  readonly type: "puback" | "pubrec" | "pubrel" | "pubcomp" | "unsuback";
  readonly id: number;
}

/** A wish to hear what is published under some topics. */
export interface Subscribe {
  readonly type: "subscribe";
  readonly id: number;
  readonly filters: readonly (readonly [filter: string, qos: Qos])[];
}

/** The end of such a wish. */
export interface Unsubscribe {
  readonly type: "unsubscribe";
  readonly id: number;
  readonly filters: readonly string[];
}

/** A packet without anything in it. */
export interface Bare {
  readonly type: "pingreq" | "pingresp" | "disconnect";
}

/** The answer to a first packet, and to a wish to hear. */
export interface Connack {
  readonly type: "connack";
  readonly hasSession: boolean;
  readonly code: number;
}

/** The QoS that was granted for each filter; 128 where none is. */
export interface Suback {
  readonly type: "suback";
  readonly id: number;
  readonly codes: readonly number[];
}

/** A packet of a client. */
export type ClientPacket = Connect | Publish | Ack | Subscribe | Unsubscribe | Bare;
/** A packet of a broker. */
export type BrokerPacket = Connack | Publish | Ack | Suback | Bare;

function malformed(message: string): FrameError {
  return new FrameError("malformed", 0, `Cannot decode a packet: ${message}`);
}

/** The fields of a packet, one after the other. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw malformed("a field goes on behind its end");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  byte(): number {
    return this.take(1)[0]!;
  }

  number(): number {
    return this.take(2).readUInt16BE();
  }

  id(): number {
    const id = this.number();
    if (id === 0) throw malformed("its number is 0");
    return id;
  }

  bytes(): Buffer {
    return this.take(this.number());
  }

  text(): string {
    try {
      const text = decoder.decode(this.bytes());
      if (!text.includes("\0")) return text;
    } catch (error) {
      if (error instanceof FrameError) throw error;
    }
    throw malformed("a text is no UTF-8, or has a zero in it");
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }
}

function qosOf(bits: number): Qos {
  if (bits > 2) throw malformed("there is no QoS 3");
  return bits as Qos;
}

function parseConnect(fields: Fields): Connect {
  const name = fields.text();
  const level = fields.byte();
  if (name !== "MQTT" && name !== "MQIsdp") throw malformed(`"${name}" is no MQTT`);
  if (name !== "MQTT" || level !== 4) {
    fields.rest();
    const unknown = { clientId: "", isClean: true, keepAliveSeconds: 0, will: null };
    return { type: "connect", level: name === "MQTT" ? level : 3, ...unknown };
  }
  const flags = fields.byte();
  const keepAliveSeconds = fields.number();
  const clientId = fields.text();
  const hasWill = (flags & 4) !== 0;
  if ((flags & 1) !== 0 || (!hasWill && (flags & 0x38) !== 0)) throw malformed("a flag is wrong");
  if ((flags & 0xc0) === 0x40) throw malformed("there is a password without a name");
  let will: Message | null = null;
  if (hasWill) {
    const topic = fields.text();
    if (!isTopic(topic)) throw malformed(`"${topic}" is no topic`);
    const payload = new Uint8Array(fields.bytes());
    will = { topic, payload, qos: qosOf(flags >> 3 & 3), retain: (flags & 0x20) !== 0 };
  }
  if ((flags & 0x80) !== 0) fields.text();
  if ((flags & 0x40) !== 0) fields.bytes();
  return { type: "connect", level, clientId, isClean: (flags & 2) !== 0, keepAliveSeconds, will };
}

function parsePublish(flags: number, fields: Fields): Publish {
  const qos = qosOf(flags >> 1 & 3);
  const topic = fields.text();
  if (!isTopic(topic)) throw malformed(`"${topic}" is no topic`);
  const id = qos === 0 ? 0 : fields.id();
  const isRepeated = (flags & 8) !== 0;
  if (isRepeated && qos === 0) throw malformed("what is sent once cannot be repeated");
  const retain = (flags & 1) !== 0;
  return { type: "publish", topic, payload: fields.rest(), qos, retain, id, isRepeated };
}

function listOf<T>(fields: Fields, read: () => T): T[] {
  const list: T[] = [];
  do list.push(read()); while (!fields.isOver);
  return list;
}

function filterOf(fields: Fields): string {
  const filter = fields.text();
  if (!isFilter(filter)) throw malformed(`"${filter}" is no filter`);
  return filter;
}

/** Packets by the upper half of their first byte. */
const TYPES = [
  ...["", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp"],
  ...["subscribe", "suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", ""],
] as const;
const CODES = new Map(TYPES.map((type, code) => [type, code]));
/** Those whose lower half is 2; of all others but `publish` it is 0 (section 2.2.2). */
const MARKED: readonly string[] = ["pubrel", "subscribe", "unsubscribe"];

function parse(first: number, fields: Fields): ClientPacket {
  const type = TYPES[first >> 4]!;
  switch (type) {
    case "connect":
      return parseConnect(fields);
    case "publish":
      return parsePublish(first & 15, fields);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return { type, id: fields.id() };
    case "subscribe":
      return {
        type,
        id: fields.id(),
        filters: listOf(fields, () => [filterOf(fields), qosOf(fields.byte())] as const),
      };
    case "unsubscribe":
      return { type, id: fields.id(), filters: listOf(fields, () => filterOf(fields)) };
    case "pingreq":
    case "disconnect":
      return { type };
    default:
      throw malformed(`a client sends no packet ${first >> 4}`);
  }
}

/** The first byte tells most that is no MQTT, before anybody waits for the rest. */
function checkFirst(first: number): void {
  const type = TYPES[first >> 4]!;
  if (type === "publish" || (first & 15) === (MARKED.includes(type) ? 2 : 0)) return;
  throw malformed("its flags are reserved");
}

/** The bytes of a packet: its header, and in all; 0 and what is needed where its length is not there yet. */
function measure(reader: BufferReader): { headBytes: number; bytes: number } {
  const head = reader.peek(Math.min(reader.length, 1 + LENGTH_BYTES_MAX));
  if (head.length > 0) checkFirst(head[0]!);
  let length = 0;
  for (let i = 1; i < head.length; i++) {
    length += (head[i]! & 0x7f) * 2 ** (7 * (i - 1));
    if (head[i]! >= 0x80) continue;
    const bytes = 1 + i + length;
    if (bytes <= PACKET_BYTES_MAX) return { headBytes: 1 + i, bytes };
    const message = `Cannot decode a packet: it has ${bytes} bytes, at most ${PACKET_BYTES_MAX}`;
    throw new FrameError("too-long", 0, message);
  }
  if (head.length > LENGTH_BYTES_MAX) throw malformed("its length has no end");
  return { headBytes: 0, bytes: Math.max(2, head.length + 1) };
}

function write(writer: Writer, type: BrokerPacket["type"], flags: number, bytes: number): void {
  writer.writeUint8(CODES.get(type)! << 4 | flags);
  writer.writeVarint(bytes);
}

function writePublish(writer: Writer, packet: Publish): void {
  const { topic, payload, qos, retain, isRepeated, id } = packet;
  const topicBytes = Buffer.byteLength(topic);
  const flags = (isRepeated ? 8 : 0) | qos << 1 | (retain ? 1 : 0);
  write(writer, "publish", flags, 2 + topicBytes + (qos > 0 ? 2 : 0) + payload.length);
  writer.writeUint16BE(topicBytes);
  writer.writeString(topic);
  if (qos > 0) writer.writeUint16BE(id);
  writer.writeBinary(payload);
}

/** Reads what clients send, and writes what a broker sends. */
export const packets: Codec<ClientPacket, BrokerPacket> = {
  decode(reader) {
    const { headBytes, bytes } = measure(reader);
    if (headBytes === 0 || reader.length < bytes) return undefined;
    const view = reader.peek(bytes);
    const fields = new Fields(Buffer.from(view.buffer, view.byteOffset, view.length));
    fields.take(headBytes);
    const packet = parse(view[0]!, fields);
    if (!fields.isOver) throw malformed("there is more in it than there should be");
    reader.skip(bytes);
    return packet;
  },
  encode(writer, packet) {
    switch (packet.type) {
      case "publish":
        return writePublish(writer, packet);
      case "connack":
        write(writer, packet.type, 0, 2);
        writer.writeUint8(packet.hasSession ? 1 : 0);
        return writer.writeUint8(packet.code);
      case "suback":
        write(writer, packet.type, 0, 2 + packet.codes.length);
        writer.writeUint16BE(packet.id);
        return void writer.writeBinary(Uint8Array.from(packet.codes));
      case "pingreq":
      case "pingresp":
      case "disconnect":
        return write(writer, packet.type, 0, 0);
      default:
        write(writer, packet.type, MARKED.includes(packet.type) ? 2 : 0, 2);
        writer.writeUint16BE(packet.id);
    }
  },
  needed: (reader) => measure(reader).bytes,
};

/**
 * memcached's binary protocol: what its clients spoke before the meta commands, and some still do.
 */
import { Buffer } from "node:buffer";
import type { BufferReader } from "../../mod.ts";
import { VALUE_BYTES_MAX } from "./request.ts";
import type { Entry, Stored, Verb } from "./store.ts";
import { type Protocol, type Session, statsOf, VERSION } from "./session.ts";

/** The first byte of every request, and of no line of text. */
export const MAGIC = 0x80;
const MAGIC_ANSWER = 0x81;
const HEADER_BYTES = 24;
/** A key, a value, and whatever extras there are. */
const BODY_BYTES_MAX = VALUE_BYTES_MAX + 512;
const KEY_BYTES_MAX = 250;
/** A counter with this time is not made when it is not there. */
const NO_COUNTER = 0xffffffff;

const Status = {
  FINE: 0,
  NOT_FOUND: 1,
  EXISTS: 2,
  TOO_LARGE: 3,
  INVALID: 4,
  NOT_STORED: 5,
  NO_NUMBER: 6,
  UNKNOWN: 0x81,
} as const;
type Status = typeof Status[keyof typeof Status];

const REASONS: Readonly<Record<Status, string>> = {
  [Status.FINE]: "",
  [Status.NOT_FOUND]: "Not found",
  [Status.EXISTS]: "Data exists for key.",
  [Status.TOO_LARGE]: "Too large.",
  [Status.INVALID]: "Invalid arguments",
  [Status.NOT_STORED]: "Not stored.",
  [Status.NO_NUMBER]: "Non-numeric server-side value for incr or decr",
  [Status.UNKNOWN]: "Unknown command",
};

/** A request. All of it is **lent**, but for the key. */
interface BinaryRequest {
  readonly code: number;
  readonly opaque: number;
  readonly cas: number;
  readonly extras: Buffer;
  readonly key: string;
  readonly value: Uint8Array;
}

/** The parts of an answer beside its header. */
interface Parts {
  readonly cas?: number;
  readonly extras?: Uint8Array;
  readonly key?: string;
  readonly value?: Uint8Array;
}

/** An answer: a status, or what was found. Null for a quiet one that has nothing to say. */
type Answer = Status | Parts | null;
type Command = (session: Session, request: BinaryRequest) => Answer;

const STATUS_OF: Readonly<Record<Stored, Status>> = {
  STORED: Status.FINE,
  NOT_STORED: Status.NOT_STORED,
  EXISTS: Status.EXISTS,
  NOT_FOUND: Status.NOT_FOUND,
  TOO_LARGE: Status.TOO_LARGE,
};

function found({ flags, value, cas }: Entry, key: string | undefined): Parts {
  const extras = Buffer.alloc(4);
  extras.writeUInt32BE(flags);
  return { extras, value, cas, ...(key === undefined ? {} : { key }) };
}

function get(hasKey: boolean, touches = false): Command {
  return ({ store }, { key, extras }) => {
    const entry = store.get(key);
    if (touches) store.touch(key, extras.readInt32BE(0));
    return entry === undefined ? Status.NOT_FOUND : found(entry, hasKey ? key : undefined);
  };
}

function store(verb: Verb): Command {
  return ({ store }, { key, value, extras, cas }) => {
    const isNew = extras.length === 8;
    const options = {
      flags: isNew ? extras.readUInt32BE(0) : 0,
      seconds: isNew ? extras.readInt32BE(4) : 0,
      cas,
    };
    const status = STATUS_OF[store.store(verb, key, new Uint8Array(value), options)];
    // The text protocol says NOT_STORED of both.
    if (verb === "add" && status === Status.NOT_STORED) return Status.EXISTS;
    if (verb === "replace" && status === Status.NOT_STORED) return Status.NOT_FOUND;
    return status === Status.FINE ? { cas: store.casOf(key) } : status;
  };
}

function count(sign: bigint): Command {
  return ({ store }, { key, extras }) => {
    let sum = store.count64(key, sign * extras.readBigUInt64BE(0));
    if (sum === null) return Status.NO_NUMBER;
    if (sum === undefined) {
      if (extras.readUInt32BE(16) === NO_COUNTER) return Status.NOT_FOUND;
      sum = extras.readBigUInt64BE(8);
      const options = { flags: 0, seconds: extras.readInt32BE(16) };
      store.store("set", key, Buffer.from(`${sum}`), options);
    }
    const value = Buffer.alloc(8);
    value.writeBigUInt64BE(sum);
    return { value, cas: store.casOf(key) };
  };
}

const remove: Command = ({ store }, { key, cas }) => {
  if (cas !== 0 && store.casOf(key) !== 0 && store.casOf(key) !== cas) return Status.EXISTS;
  return store.delete(key) ? {} : Status.NOT_FOUND;
};

const touch: Command = ({ store }, { key, extras }) => {
  return store.touch(key, extras.readInt32BE(0)) === undefined ? Status.NOT_FOUND : {};
};

const flush: Command = ({ store }, { extras }) => {
  store.flush(extras.length === 4 ? Math.max(0, extras.readInt32BE(0)) : 0);
  return {};
};

const stats: Command = (session, request) => {
  for (const [key, value] of request.key === "" ? statsOf(session) : []) {
    write(session, request, Status.FINE, { key, value: Buffer.from(value) });
  }
  return {}; // one without a key is the last
};

const quit: Command = (session) => {
  session.isClosing = true;
  return {};
};

/** A command: its code, the code of its quiet twin (-1 for none), whether it has a key, its extras. */
type Row = readonly [code: number, quiet: number, key: boolean, extras: number[], run: Command];
type Known = Readonly<{ hasKey: boolean; extras: number[]; run: Command; isQuiet: boolean }>;

const ROWS: readonly Row[] = [
  [0x00, 0x09, true, [0], get(false)],
  [0x0c, 0x0d, true, [0], get(true)],
  [0x1d, 0x1e, true, [4], get(false, true)],
  [0x23, 0x24, true, [4], get(true, true)],
  [0x01, 0x11, true, [8], store("set")],
  [0x02, 0x12, true, [8], store("add")],
  [0x03, 0x13, true, [8], store("replace")],
  [0x0e, 0x19, true, [0], store("append")],
  [0x0f, 0x1a, true, [0], store("prepend")],
  [0x04, 0x14, true, [0], remove],
  [0x05, 0x15, true, [20], count(1n)],
  [0x06, 0x16, true, [20], count(-1n)],
  [0x1c, -1, true, [4], touch],
  [0x08, 0x18, false, [0, 4], flush],
  [0x07, 0x17, false, [0], quit],
  [0x0a, -1, false, [0], () => ({})],
  [0x0b, -1, false, [0], () => ({ value: Buffer.from(VERSION) })],
];
/** `stats` may have a key, and answers several times. */
const STATS = 0x10;

const COMMANDS = new Map<number, Known>(ROWS.flatMap(([code, quiet, hasKey, extras, run]) => [
  [code, { hasKey, extras, run, isQuiet: false }],
  [quiet, { hasKey, extras, run, isQuiet: true }],
]));
/** The quiet ones that find something say so; other quiet ones only speak of failures. */
const QUIET_GETS = [0x09, 0x0d, 0x1e, 0x24];

function answer(session: Session, request: BinaryRequest): Answer {
  const { code, key, extras } = request;
  if (code === STATS) return stats(session, request);
  const command = COMMANDS.get(code);
  if (command === undefined) return Status.UNKNOWN;
  const isKeyFine = command.hasKey ? key.length > 0 && key.length <= KEY_BYTES_MAX : key === "";
  if (!isKeyFine || !command.extras.includes(extras.length)) return Status.INVALID;
  const answer = command.run(session, request);
  if (!command.isQuiet) return answer;
  if (QUIET_GETS.includes(code)) return answer === Status.NOT_FOUND ? null : answer;
  return typeof answer === "number" ? answer : null;
}

function write(
  { writer }: Session,
  { code, opaque }: Pick<BinaryRequest, "code" | "opaque">,
  status: Status,
  { cas = 0, extras = new Uint8Array(0), key = "", value = Buffer.from(REASONS[status]) }: Parts,
): void {
  writer.writeUint8(MAGIC_ANSWER);
  writer.writeUint8(code);
  writer.writeUint16BE(key.length);
  writer.writeUint8(extras.length);
  writer.writeUint8(0);
  writer.writeUint16BE(status);
  writer.writeUint32BE(extras.length + key.length + value.length);
  writer.writeUint32BE(opaque);
  writer.writeBigUint64BE(BigInt(cas));
  writer.writeBinary(extras);
  writer.writeString(key, "latin1");
  writer.writeBinary(value);
}

/** Answers the requests of one connection. */
export class BinaryProtocol implements Protocol {
  readonly #session: Session;
  /** The rest of a request that was too large: it is dropped as it comes. */
  #dropBytes = 0;

  /** It writes to the session's writer. */
  constructor(session: Session) {
    this.#session = session;
  }

  answerNext(reader: BufferReader): boolean {
    const dropped = Math.min(reader.length, this.#dropBytes);
    reader.skip(dropped);
    this.#dropBytes -= dropped;
    if (reader.length < HEADER_BYTES) return false;
    const header = Buffer.from(reader.peek(HEADER_BYTES));
    const bodyBytes = header.readUInt32BE(8);
    const to = { code: header[1]!, opaque: header.readUInt32BE(12) };
    if (header[0] !== MAGIC) {
      this.#session.isClosing = true; // nobody knows where the next request begins
      return false;
    }
    if (bodyBytes > BODY_BYTES_MAX) {
      reader.skip(HEADER_BYTES);
      this.#dropBytes = bodyBytes;
      write(this.#session, to, Status.TOO_LARGE, {});
      return true;
    }
    if (reader.length < HEADER_BYTES + bodyBytes) return false;
    reader.skip(HEADER_BYTES);
    const view = reader.next(bodyBytes);
    const body = Buffer.from(view.buffer, view.byteOffset, view.length);
    const keyAt = header[4]!;
    const valueAt = keyAt + header.readUInt16BE(2);
    const request = {
      ...to,
      cas: Number(header.readBigUInt64BE(16)),
      extras: body.subarray(0, keyAt),
      key: body.toString("latin1", keyAt, valueAt),
      value: body.subarray(valueAt),
    };
    this.#say(request, valueAt > bodyBytes ? Status.INVALID : answer(this.#session, request));
    return true;
  }

  needed(reader: BufferReader): number {
    if (this.#dropBytes > 0) return 1;
    if (reader.length < HEADER_BYTES) return reader.length === 0 ? 0 : HEADER_BYTES;
    return HEADER_BYTES + Buffer.from(reader.peek(HEADER_BYTES)).readUInt32BE(8);
  }

  #say(request: BinaryRequest, answer: Answer): void {
    if (answer === null) return;
    if (typeof answer === "number") return write(this.#session, request, answer, {});
    write(this.#session, request, Status.FINE, answer);
  }
}

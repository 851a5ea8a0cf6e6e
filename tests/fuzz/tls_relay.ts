/**
 * TLS between our client and our server, and a relay between both that changes, drops, doubles, exchanges and
 * splits records, or ends the connection, in both directions: whatever it does, nobody takes a byte for the
 * other's that is not, and nobody takes a part for the whole.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import {
  type Connection,
  createListener,
  dial,
  EofError,
  EventLoop,
  type Listener,
  NetpollError,
  TimeoutError,
  type TlsClientOptions,
  type TlsVersion,
} from "../../mod.ts";
import { pattern } from "../support/pair.ts";
import { authority, NO_TLS, serverIdentity } from "../support/pki.ts";
import type { Random } from "../support/random.ts";
import type { Target } from "./target.ts";

const HEADER_BYTES = 5;
const SENT_BYTES_MAX = 50_000;
/** Somebody waits for a record that was dropped so long, in milliseconds. */
const PATIENCE_MS = 150;

/** What is done to a record. The first ones change nothing that TLS tells. */
const KINDS = [
  "pass",
  "pass",
  "split",
  "flip",
  "header",
  "drop",
  "double",
  "swap",
  "grow",
  "shrink",
  "inject",
  "cut",
  "reset",
] as const;
type Deed = typeof KINDS[number];
const HARMLESS = 3;

/** The plan for the records of one direction. */
class Direction {
  readonly #random: Random;
  readonly #isHarmless: boolean;
  readonly #to: Socket;
  #held = Buffer.alloc(0);
  #swapped: Buffer | null = null;

  constructor(random: Random, isHarmless: boolean, to: Socket) {
    this.#random = random;
    this.#isHarmless = isHarmless;
    this.#to = to;
  }

  take(bytes: Buffer): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    for (;;) {
      if (this.#held.length < HEADER_BYTES) return;
      const length = HEADER_BYTES + this.#held.readUInt16BE(3);
      if (this.#held.length < length) return;
      const record = Buffer.from(this.#held.subarray(0, length));
      this.#held = this.#held.subarray(length);
      this.#pass(record);
    }
  }

  /** What is left of a record that did not come to its end. */
  end(): void {
    this.#write(this.#held);
    this.#to.end();
  }

  #write(bytes: Uint8Array): void {
    if (this.#to.writable) this.#to.write(bytes);
  }

  #deed(): Deed {
    const random = this.#random;
    if (this.#isHarmless) return KINDS[random.below(HARMLESS)]!;
    return random.chance(0.8) ? "pass" : random.pick(KINDS);
  }

  #pass(record: Buffer): void {
    const random = this.#random;
    const at = random.below(record.length);
    switch (this.#deed()) {
      case "split":
        this.#write(record.subarray(0, at));
        record = record.subarray(at);
        break;
      case "flip":
        record[at]! ^= 1 << random.below(8);
        break;
      case "header":
        record[random.below(HEADER_BYTES)] = random.below(256);
        break;
      case "drop":
        return;
      case "double":
        this.#write(record);
        break;
      case "swap":
        if (this.#swapped !== null) break;
        this.#swapped = record;
        return;
      case "grow":
        record = Buffer.concat([record, Buffer.from([random.below(256)])]);
        record.writeUInt16BE(record.length - HEADER_BYTES, 3);
        break;
      case "shrink":
        record = record.subarray(0, Math.max(HEADER_BYTES, record.length - 1 - random.below(40)));
        record.writeUInt16BE(record.length - HEADER_BYTES, 3);
        break;
      case "inject": {
        const body = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
        this.#write(Buffer.from([20 + random.below(5), 3, 3, 0, body.length, ...body]));
        break;
      }
      case "cut":
        this.#write(record.subarray(0, at));
        this.#to.end();
        return;
      case "reset":
        this.#to.destroy();
        return;
    }
    this.#write(record);
    if (this.#swapped !== null) this.#write(this.#swapped);
    this.#swapped = null;
  }
}

/** A server, and the relay before it. */
interface Bed {
  readonly relay: Server;
  readonly at: string;
  readonly listeners: Readonly<Record<TlsVersion, Listener>>;
  readonly loop: EventLoop<Case>;
  readonly served: Promise<void>[];
}

let bed: Bed | null = null;
/** A case: its plan, what the server was given, and how that ended. */
interface Case {
  readonly random: Random;
  readonly isHarmless: boolean;
  readonly version: TlsVersion;
  received: number;
  wrongAt: number;
  end: Promise<unknown> | null;
}

/** The case that is under way. */
let now: Case | null = null;
/** The cases by the port from which the relay has reached the server: an earlier one may end late. */
const cases = new Map<number, Case>();
const clients = new Map<TlsVersion, TlsClientOptions>();

function portOf({ address }: Listener): number {
  return address.transport === "tcp" ? address.port : 0;
}

/** Notes what a server receives, and sends it back. */
function echo({ reader, writer }: Connection, state: Case): void {
  const bytes = reader.next(reader.length);
  const expected = pattern(bytes.length, state.received);
  const wrong = bytes.findIndex((byte, at) => byte !== expected[at]);
  if (wrong >= 0 && state.wrongAt < 0) state.wrongAt = state.received + wrong;
  state.received += bytes.length;
  writer.writeBinary(bytes, { copy: true });
  void writer.flush();
  reader.release();
}

function onRelayed(client: Socket): void {
  const state = now!;
  const { random, isHarmless, version } = state;
  const upstream = connect(portOf(bed!.listeners[version]), "127.0.0.1");
  upstream.on("connect", () => cases.set(upstream.localPort!, state));
  for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
    const direction = new Direction(random, isHarmless, to);
    from.on("data", (bytes: Buffer) => direction.take(bytes));
    from.on("end", () => direction.end());
    from.on("error", () => to.destroy());
    from.on("close", () => to.end());
  }
}

async function open(): Promise<Bed> {
  const loop = new EventLoop<Case>(echo, {
    onPrepare: ({ remoteAddress }) => cases.get((remoteAddress as { port: number }).port)!,
    onConnect: ({ closed }, state) => {
      state.end = closed.then(() => null, (error) => error);
      return state;
    },
    onHandshakeError: () => {},
    onError: () => {},
  });
  const tls = { ...serverIdentity(), handshakeTimeoutMs: PATIENCE_MS };
  const listenerOf = (versionMax: TlsVersion) =>
    createListener("tcp", "127.0.0.1:0", { tls: { ...tls, versionMax } });
  const listeners = { "1.2": listenerOf("1.2"), "1.3": listenerOf("1.3") };
  const served = Object.values(listeners).map((listener) => loop.serve(listener));
  for (const version of ["1.2", "1.3"] as const) {
    clients.set(version, { authorities: authority().certificate, serverName: "localhost" });
  }
  const relay = createServer({ allowHalfOpen: true }, onRelayed);
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const address = relay.address();
  const at = `127.0.0.1:${typeof address === "object" ? address!.port : 0}`;
  return { relay, at, listeners, loop, served };
}

/** Sends so much, and takes as much back. How much came. */
async function converse(connection: Connection, bytes: Uint8Array): Promise<number> {
  const { reader, writer } = connection;
  let received = 0;
  writer.writeBinary(bytes);
  writer.flush().catch(() => {});
  while (received < bytes.length) {
    await reader.wait(1);
    const part = reader.readBinary(reader.length);
    assertEquals(part, bytes.subarray(received, received + part.length), `at ${received}`);
    received += part.length;
    reader.release();
  }
  return received;
}

async function run(random: Random): Promise<void> {
  bed ??= await open();
  const isHarmless = random.chance(0.25);
  const version = random.pick(["1.2", "1.3"] as const);
  const state: Case = { random, isHarmless, version, received: 0, wrongAt: -1, end: null };
  now = state;
  const bytes = pattern(random.below(random.pick([10, 2000, SENT_BYTES_MAX])) + 1);
  const tls = clients.get(version)!;
  let failure: unknown = null;
  let isInOrder = false;
  const dialled = dial("tcp", bed.at, { tls, timeoutMs: isHarmless ? 5000 : PATIENCE_MS });
  const connection = await dialled.catch((error) => void (failure = error));
  if (connection) {
    connection.readTimeoutMs = isHarmless ? 5000 : PATIENCE_MS;
    await converse(connection, bytes).then(() => isInOrder = true, (error) => failure = error);
    if (isInOrder) await connection.close({ timeoutMs: PATIENCE_MS });
    else connection.reset();
  }
  if (isHarmless) assertEquals(failure, null);
  if (failure !== null) assertInstanceOf(failure, NetpollError);
  // The server ends nothing in order before the client does.
  if (failure instanceof EofError) {
    assert(failure.cause !== undefined, "a part taken for the whole");
  }
  const end = await state.end;
  if (end !== null) assertInstanceOf(end, NetpollError);
  assertEquals(state.wrongAt, -1, "the server received a byte that nobody sent");
  if (end === null && state.end !== null && !(failure instanceof TimeoutError)) {
    assert(
      isInOrder && state.received === bytes.length,
      "a part taken for the whole, by the server",
    );
  }
}

async function close(): Promise<void> {
  if (bed === null) return;
  const { relay, loop, served } = bed;
  bed = null;
  cases.clear();
  await loop.shutdown({ timeoutMs: 0 });
  await Promise.all(served);
  await new Promise((resolve) => relay.close(resolve));
}

/** Whole connections, with a relay between them. */
export const RELAY_TARGETS: readonly Target[] = [
  {
    name: "tls-relay",
    what: "no byte is taken for the peer's that is not, and no part for the whole",
    absence: NO_TLS || null,
    run,
    close,
  },
];

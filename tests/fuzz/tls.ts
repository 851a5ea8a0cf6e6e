/**
 * TLS between two ends in one thread: tables of names and protocols against models of a few lines, text
 * that is nearly PEM, and a man in the middle.
 */
import { assert, assertEquals } from "@std/assert";
import { native } from "../../ffi/load.ts";
import { TlsError, type TlsIdentity } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { check } from "../../src/core/check.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { clientContext, type Context, serverContext } from "../../src/tls/context.ts";
import type { TlsClientOptions, TlsServerOptions } from "../../src/tls/options.ts";
import { readServerOptions } from "../../src/tls/options.ts";
import { type TlsInfo, tlsInfo } from "../../src/transport/tls_info.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import type { Random } from "../support/random.ts";
import { anyBytes, assertBytes, joined, mutated, type Target, thrownBy } from "./target.ts";

const PIECE_BYTES = 65536;
/** As many times does each side go on, until both have done all that they can. */
const ROUNDS_MAX = 12;
const DONE = 0;
const NOTHING = new Uint8Array(0);

/** Receives what is there: decrypted, or as it came. A number is the end (0), or why there is none. */
function receive(fd: number, call: typeof native.recv): Uint8Array | number {
  const block = blocks.take(PIECE_BYTES);
  try {
    const count = call(fd, block.slab.id, block.offset, PIECE_BYTES);
    if (count === NOT_READY) return NOTHING;
    if (count <= 0) return count;
    const { offset, slab } = block;
    return new Uint8Array(slab.bytes.subarray(offset, offset + count));
  } finally {
    block.release();
  }
}

/** One side: its end of a socket pair, and the other end, which is in the hand of the test. */
class Side {
  readonly fd: number;
  readonly outer: number;
  /** The last result of its handshake. */
  step = -1;

  constructor(context: Context, name: string, server: string) {
    const pair = new Int32Array(2);
    check("make a pair", native.socketpair(pair));
    [this.fd, this.outer] = [pair[0]!, pair[1]!];
    const text = (value: string) => new TextEncoder().encode(`${value}\0`);
    const code = native.tlsBegin(this.fd, context.id, text(name), NOTHING, 0, text(server));
    check("begin TLS", code);
  }

  handshake(): void {
    if (this.step !== DONE) this.step = native.tlsHandshake(this.fd);
  }

  /** What it has sent, as it goes over the wire. */
  take(): Uint8Array {
    const bytes = receive(this.outer, native.recv);
    return typeof bytes === "number" ? NOTHING : bytes;
  }

  put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    native.sendBorrowed(this.outer, bytes, bytes.length, 0, bytes.length, 0);
  }

  close(): void {
    native.close(this.fd);
    native.close(this.outer);
  }
}

/** Changes bytes on their way to one side. */
type Between = (bytes: Uint8Array) => Uint8Array;
const asItIs: Between = (bytes) => bytes;

/** A server and a client, and all that lies between them. */
class Wire {
  readonly server: Side;
  readonly client: Side;
  readonly #between: Between;

  constructor(server: Context, client: Context, name: string, between: Between = asItIs) {
    this.server = new Side(server, "", "");
    this.client = new Side(client, name, name);
    this.#between = between;
  }

  /** Passes on what both have sent. */
  pass(): void {
    this.server.put(this.#between(this.client.take()));
    this.client.put(this.#between(this.server.take()));
  }

  handshake(): void {
    for (let n = 0; n < ROUNDS_MAX; n++) {
      this.client.handshake();
      this.server.handshake();
      this.pass();
    }
  }

  get isDone(): boolean {
    return this.server.step === DONE && this.client.step === DONE;
  }

  close(): void {
    this.server.close();
    this.client.close();
  }
}

/** Runs a case with contexts, and closes them. */
function withContexts(
  server: TlsServerOptions,
  client: TlsClientOptions,
  run: (server: Context, client: Context) => void,
): void {
  const ours = serverContext(readServerOptions(server));
  const theirs = clientContext(client);
  try {
    run(ours, theirs);
  } finally {
    ours.close();
    theirs.close();
  }
}

const plain = ({ certificate, key }: TlsIdentity): TlsIdentity => ({ certificate, key });
const own = () => plain(identity("fuzz"));

/** The facts at the client and at the server, or null when a handshake fails. */
function shake(wire: Wire): { client: TlsInfo; server: TlsInfo } | null {
  try {
    wire.handshake();
    if (!wire.isDone) return null;
    return { client: tlsInfo(wire.client.fd), server: tlsInfo(wire.server.fd) };
  } finally {
    wire.close();
  }
}

// ---- names --------------------------------------------------------------------------------------

const LABELS = ["a", "b", "B", "a-1", "x_y"];
const SHOWN = ["one", "two", "three"];

function someName(random: Random): string {
  return Array.from({ length: 1 + random.below(3) }, () => random.pick(LABELS)).join(".");
}

/** The certificate that is shown for a host: an exact name goes first, and a star is one label. */
function shownFor(names: ReadonlyMap<string, string>, host: string): string {
  const [, ...rest] = host.toLowerCase().split(".");
  return names.get(host.toLowerCase()) ?? names.get(["*", ...rest].join(".")) ?? "fuzz";
}

function namesCase(random: Random): void {
  const names: Record<string, TlsIdentity> = {};
  const model = new Map<string, string>();
  for (let n = random.below(5); n > 0; n--) {
    const name = (random.chance(0.4) ? "*." : "") + someName(random);
    if (model.has(name.toLowerCase())) continue; // which of both is shown is no rule
    const shown = random.pick(SHOWN);
    names[name] = plain(identity(shown));
    model.set(name.toLowerCase(), shown);
  }
  withContexts({ ...own(), names }, { verify: false }, (server, client) => {
    for (let n = 0; n < 3; n++) {
      const host = someName(random);
      const facts = shake(new Wire(server, client, host));
      const what = `${host} among ${[...model.keys()]}`;
      assertEquals(facts?.client.peerCertificate?.subject, `CN=${shownFor(model, host)}`, what);
      assertEquals(facts?.server.serverName, host.toLowerCase(), what);
    }
  });
}

// ---- protocols ----------------------------------------------------------------------------------

const PROTOCOLS = ["h2", "http/1.1", "h", "2", "h22", "x".repeat(255), "a\x01"];

function someProtocols(random: Random): string[] | null {
  if (random.chance(0.15)) return null;
  const count = 1 + random.below(4);
  return [...new Set(Array.from({ length: count }, () => random.pick(PROTOCOLS)))];
}

function protocolsCase(random: Random): void {
  const [ours, theirs] = [someProtocols(random), someProtocols(random)];
  const of = (list: string[] | null) => list === null ? {} : { alpnProtocols: list };
  const common = ours !== null && theirs !== null;
  const expected = common ? ours.find((name) => theirs.includes(name)) : null;
  withContexts({ ...own(), ...of(ours) }, { verify: false, ...of(theirs) }, (server, client) => {
    const facts = shake(new Wire(server, client, "localhost"));
    const what = `${JSON.stringify(ours)} and ${JSON.stringify(theirs)}`;
    // Without a common one there is no handshake (RFC 7301 §3.2).
    if (expected === undefined) return assertEquals(facts, null, what);
    assertEquals(facts?.client.alpnProtocol, expected, what);
    assertEquals(facts?.server.alpnProtocol, expected, what);
  });
}

// ---- PEM ----------------------------------------------------------------------------------------

function changedText(random: Random, text: string): string {
  if (random.chance(0.3)) return text;
  return new TextDecoder().decode(mutated(random, new TextEncoder().encode(text)));
}

function pemCase(random: Random): void {
  const { certificate, key } = identity(random.pick(["fuzz", ...SHOWN]));
  const options = {
    certificate: changedText(random, certificate + (random.chance(0.3) ? certificate : "")),
    key: changedText(random, random.chance(0.1) ? certificate : key),
    ...(random.chance(0.3) ? { authorities: changedText(random, authority().certificate) } : {}),
  };
  const error = thrownBy(() => {
    const context = serverContext(readServerOptions(options));
    try {
      // What is taken can be shown.
      const client = clientContext({ verify: false });
      shake(new Wire(context, client, "localhost"));
      client.close();
    } finally {
      context.close();
    }
  });
  const isTold = error === null || error instanceof TlsError || error instanceof TypeError;
  assert(isTold, `${error}`);
  assert(error === null || error.message.length > 0);
}

// ---- a man in the middle ------------------------------------------------------------------------

/** Says nothing for a while, then changes, cuts or doubles what is on its way, once. */
function tampering(random: Random): Between {
  let left = random.below(14);
  return (bytes) => {
    if (bytes.length === 0 || left-- !== 0) return bytes;
    return random.chance(0.2) ? anyBytes(random, random.below(200)) : mutated(random, bytes);
  };
}

/** Sends bytes from one to the other. What came, which is a part of it from its beginning on. */
function exchange(random: Random, wire: Wire, from: Side, to: Side): void {
  const sent = anyBytes(random, 1 + random.below(random.chance(0.2) ? 40_000 : 300));
  const count = native.tlsSendBorrowed(from.fd, sent, sent.length, 0, sent.length);
  if (count < 0) return;
  const came: Uint8Array[] = [];
  for (let n = 0; n < ROUNDS_MAX; n++) {
    wire.pass();
    const part = receive(to.fd, native.tlsRecv);
    if (typeof part === "number") {
      assert(part < 0, "an end that nobody has told");
      break;
    }
    came.push(part);
  }
  const all = joined(came);
  assert(all.length <= sent.length, "more came than was sent");
  assertBytes(all, sent.subarray(0, all.length), "what came is not what was sent");
}

/** One side ends, in order or not: the other is told which of both. */
function end(random: Random, wire: Wire): void {
  const isInOrder = random.chance(0.5);
  if (isInOrder) native.tlsShutdown(wire.client.fd);
  wire.pass();
  native.shutdown(wire.server.outer, 1);
  const end = receive(wire.server.fd, native.tlsRecv);
  assertEquals(end, isInOrder ? 0 : -ERRNO.EPROTO, `in order: ${isInOrder}`);
}

/** With what is kept of one, the next goes on: tickets are changed on their way as well. */
function middleCase(random: Random): void {
  const trusting = { authorities: authority().certificate };
  const version = random.pick(["1.2", "1.3"] as const);
  withContexts({ ...own(), versionMax: version }, trusting, (server, client) => {
    for (let n = 0; n < 3; n++) {
      const between = random.chance(0.3) ? asItIs : tampering(random);
      const wire = new Wire(server, client, "localhost", between);
      try {
        wire.handshake();
        if (between === asItIs) {
          assert(wire.isDone, `steps ${wire.server.step}, ${wire.client.step}`);
        }
        if (!wire.isDone) continue;
        const [one, other] = [tlsInfo(wire.server.fd), tlsInfo(wire.client.fd)];
        assertEquals(one.isResumed, other.isResumed);
        assertEquals(one.cipher, other.cipher);
        assertEquals(other.peerCertificate?.subject, "CN=fuzz");
        exchange(random, wire, wire.client, wire.server);
        exchange(random, wire, wire.server, wire.client);
        if (between === asItIs) end(random, wire);
      } finally {
        wire.close();
      }
    }
  });
}

const TARGETS: readonly Omit<Target, "absence">[] = [
  {
    name: "tls-names",
    what: "a client is shown the certificate of the name that it asks for",
    run: namesCase,
  },
  {
    name: "tls-protocols",
    what: "the first of the server's protocols that the client has as well is chosen, or none",
    run: protocolsCase,
  },
  {
    name: "tls-pem",
    what: "what is no certificate or no key in PEM is a TlsError or a TypeError",
    run: pemCase,
  },
  {
    name: "tls-middle",
    what: "whatever is changed between two ends, what comes is what was sent, up to an error",
    run: middleCase,
  },
];

export const TLS_TARGETS: readonly Target[] = TARGETS.map((target) => ({
  ...target,
  absence: NO_TLS || null,
}));

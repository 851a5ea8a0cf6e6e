// deno run -A examples/connection_ids.ts   or   bun examples/connection_ids.ts

/**
 * An echo in the shape of QUIC: a connection is a number in its datagrams and no address, so that a
 * client may change its address and go on. The number leads to the poller that has the connection:
 * the kernel reads it. At localhost:6387 or the address given, with `--pollers N`.
 *
 * A datagram begins with a byte, 1 to open and 2 to go on, and eight bytes of a number. To open, the
 * client invents one; it is answered with the number that it has from then on. To go on, it sends
 * that and a text, and gets both back, with how many have come before. A poller that does not know a
 * connection answers with 3: the client opens another one.
 *
 * @module
 */
import "./one_line.ts";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { parseArgs } from "node:util";
import { isMainThread } from "node:worker_threads";
import { Cluster, type Datagram, type PollerContext, steeredIndex } from "../mod.ts";

const Kind = { OPEN: 1, GO_ON: 2, UNKNOWN: 3 } as const;
const ID_BYTES = 8;
/** The place of the number in a datagram. */
const ID_OFFSET = 1;
const HEAD_BYTES = ID_OFFSET + ID_BYTES;
/** Connections of a poller: whoever opens more makes it forget the oldest. */
const CONNECTIONS_MAX = 100_000;

/** The texts that came so far, by connection. */
const counts = new Map<bigint, number>();
let poller = { index: 0, pollerCount: 1 };

/** Each Worker learns which poller it is, to make numbers that lead to it. */
export function setup({ index, pollerCount }: PollerContext): void {
  poller = { index, pollerCount };
}

/** A number that nobody guesses, and that leads to this poller: one of a few has to. */
function newId(): Uint8Array {
  for (;;) {
    const id = new Uint8Array(randomBytes(ID_BYTES));
    if (steeredIndex(id, poller.pollerCount) === poller.index) return id;
  }
}

function idOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(ID_OFFSET);
}

function open(datagram: Datagram): void {
  const answer = Uint8Array.of(Kind.OPEN, ...newId());
  if (counts.size >= CONNECTIONS_MAX) counts.delete(counts.keys().next().value!);
  counts.set(idOf(answer), 0);
  datagram.reply(answer);
}

/** Serves a datagram of one of this poller's connections, from whatever address. */
export function onDatagram(datagram: Datagram): void {
  const { bytes } = datagram;
  if (bytes.length < HEAD_BYTES) return;
  if (bytes[0] === Kind.OPEN) return open(datagram);
  if (bytes[0] !== Kind.GO_ON) return;
  const id = idOf(bytes);
  const count = counts.get(id);
  const head = bytes.subarray(0, HEAD_BYTES);
  if (count === undefined) {
    datagram.reply(Uint8Array.of(Kind.UNKNOWN, ...head.subarray(ID_OFFSET)));
    return;
  }
  counts.set(id, count + 1);
  const number = new TextEncoder().encode(`${count} `);
  datagram.reply(Uint8Array.of(...head, ...number, ...bytes.subarray(HEAD_BYTES)));
}

if (isMainThread) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { pollers: { type: "string", default: "4" } },
  });
  const cluster = new Cluster(new URL(import.meta.url), { pollerCount: Number(values.pollers) });
  const { hostname, port } = await cluster.bindDatagram(
    "udp",
    positionals[0] ?? "localhost:6387",
    { steerOffset: ID_OFFSET, steerLengthBytes: ID_BYTES },
  );
  console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void cluster.shutdown({ timeoutMs: 1000 }));
  }
}

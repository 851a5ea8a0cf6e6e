// deno run -A examples/connection_ids.ts   or   bun examples/connection_ids.ts

/**
 * An echo in the shape of QUIC: a connection is a number in its datagrams and no address, so that a
 * client may change its address and go on. The number leads to the poller that has the connection: the
 * kernel reads it. At localhost:6387 or the address given.
 *
 * A datagram begins with a byte, 1 to open and 2 to go on, and eight bytes of a number. To open, the
 * client invents one; it is answered (129) with the number that it has from then on. To go on, it sends
 * that and a text, and gets both back (130), with how many have come before. A poller that does not
 * know a connection says so (131): the client opens another one. Answers are answered by nothing, else
 * two servers could talk to each other for ever.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { isMainThread } from "node:worker_threads";
import { atOf, fail, numberOf, readArguments, stopAsked } from "./command_line.ts";
import { Cluster, type Datagram, NetpollError, type PollerContext, steeredIndex } from "../mod.ts";

const Kind = { OPEN: 1, GO_ON: 2, OPENED: 129, ECHO: 130, UNKNOWN: 131 } as const;
const ID_BYTES = 8;
/** The place of the number in a datagram. */
const ID_OFFSET = 1;
const HEAD_BYTES = ID_OFFSET + ID_BYTES;
/** Connections of a poller: whoever opens more makes it forget those that were silent the longest. */
const CONNECTIONS_MAX = 100_000;
const POLLERS_MAX = 64;

/** The texts that came so far, by connection; who was heard of last is last. */
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
  const answer = Uint8Array.of(Kind.OPENED, ...newId());
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
  const idBytes = bytes.subarray(ID_OFFSET, HEAD_BYTES);
  if (count === undefined) {
    datagram.reply(Uint8Array.of(Kind.UNKNOWN, ...idBytes));
    return;
  }
  counts.delete(id);
  counts.set(id, count + 1);
  const number = new TextEncoder().encode(`${count} `);
  const text = bytes.subarray(HEAD_BYTES);
  const answer = new Uint8Array(HEAD_BYTES + number.length + text.length);
  answer[0] = Kind.ECHO;
  answer.set(idBytes, ID_OFFSET);
  answer.set(number, HEAD_BYTES);
  answer.set(text, HEAD_BYTES + number.length);
  datagram.reply(answer);
}

if (isMainThread) {
  const usage = `Usage: connection_ids.ts [HOST:PORT] [--pollers N]

  --pollers N   threads that serve: 4`;
  const options = { pollers: { type: "string", default: "4" } } as const;
  const { at, values } = readArguments(usage, 6387, options);
  const pollerCount = numberOf("pollers", values.pollers, 1, POLLERS_MAX);
  const steer = { steerOffset: ID_OFFSET, steerLengthBytes: ID_BYTES };
  const stopped = stopAsked();
  const cluster = new Cluster(new URL(import.meta.url), { pollerCount });
  const { hostname, port } = await cluster.bindDatagram("udp", at, steer)
    .catch((error) => fail(error, error instanceof NetpollError ? 1 : 2));
  console.log(`Listening on ${atOf(hostname, port)}; Ctrl-C stops it`);
  console.log(`Try: printf '\\1abcdefgh' | nc -u -w 1 ${hostname} ${port} | hexdump -C`);
  await stopped;
  await cluster.shutdown({ timeoutMs: 1000 });
  console.log("Stopped");
}

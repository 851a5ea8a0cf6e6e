/**
 * Connections over streams of the runtime. They are in memory, where both runtimes do the same:
 * docs/DUPLEX.md says in what sockets of node:net differ.
 */
import { Connection, type FromFdOptions } from "../../../mod.ts";
import { memoryEnds } from "../duplexes.ts";
import type { TestTransport } from "../transport.ts";

const NONE = "a stream has no descriptor";

function pair<A, B>(ours?: FromFdOptions<A>, theirs?: FromFdOptions<B>): [Connection, Connection] {
  const [a, b] = memoryEnds();
  return [Connection.fromDuplex(a, ours), Connection.fromDuplex(b, theirs)];
}

/** Streams, which the runtime reads and writes. */
export const transport: TestTransport = {
  lacks: {
    "descriptor": NONE,
    "plain bytes": NONE,
    "faults": "a stream makes no call of ours",
    "kernel buffer": "a stream takes no more than its highWaterMark",
    "exact account": "a stream does not tell what of a write has left",
    "tcp": "a stream tells nothing of TCP",
    "listener": "a server of the runtime accepts",
  },
  pair,
  tcpPair: (accepted) => Promise.resolve(pair(accepted)),
};

/**
 * Connections in memory.
 */
import { memoryPair } from "../../../mod.ts";
import type { TestTransport } from "../transport.ts";

/** What needs a kernel is lacking. */
export const transport: TestTransport = {
  lacks: {
    "descriptor": "it has no descriptor",
    "plain bytes": "no kernel moves its bytes",
    "faults": "no system call of it could fail",
    "kernel buffer": "its window holds less than a kernel does",
    "tcp": "it has no address",
    "listener": "nobody listens for it",
  },
  pair: (first, second) => memoryPair({ first, second }),
  tcpPair: (first) => Promise.resolve(memoryPair({ first })),
};

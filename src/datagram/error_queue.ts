/**
 * The error queue of a socket: what the network says of datagrams that have left (IP_RECVERR).
 */
import { native } from "../../ffi/load.ts";
import { DATAGRAMS_MAX } from "../core/limits.ts";
import type { PackedAddress } from "../net/address.ts";
import { peerAt, RECORD_WORDS, recordTable, Word } from "./record.ts";

/** The origins of errors in the error queue that come from the network (linux/errqueue.h). */
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;
const ORIGIN_MASK = 0xff;
/** Errors taken for one event: the rest is reported again. */
const ERROR_ROUNDS_MAX = 16;

/** The socket. */
export interface QueueOwner {
  readonly fd: number;
  /** The network says that a peer cannot be reached. */
  onQueuedError(errno: number, peer: PackedAddress): void;
}

/** Errors. One table a thread. */
const table = recordTable(DATAGRAMS_MAX);

/** Takes the errors of a socket, and passes on those of the network. How many those are. */
export function takeQueuedErrors(owner: QueueOwner): number {
  let taken = 0;
  for (let round = 0; round < ERROR_ROUNDS_MAX && owner.fd >= 0; round++) {
    const count = native.errors(owner.fd, table, DATAGRAMS_MAX);
    for (let i = 0; i < count; i++) {
      const at = RECORD_WORDS * i;
      const origin = table[at + Word.FLAGS]! & ORIGIN_MASK;
      // Those of this machine were the result of a call already.
      if (origin !== ORIGIN_ICMP && origin !== ORIGIN_ICMP6) continue;
      owner.onQueuedError(table[at + Word.LENGTH]!, peerAt(table, at));
      taken += 1;
    }
    if (count < DATAGRAMS_MAX) break;
  }
  return taken;
}

/**
 * The names of the system calls that libnetpoll.c counts.
 */
import { native } from "../../ffi/load.ts";
import { type Call, CALLS } from "../../ffi/symbols.ts";
import { counts } from "../core/counts.ts";
import { nameOf } from "../core/errno.ts";

/** The names that users see, and what the library calls each. */
const KINDS: Readonly<Record<CallName, Call>> = {
  accept: "accept",
  connect: "connect",
  watch: "epollCtl",
  wait: "epollWait",
  receive: "recv",
  send: "send",
  open: "open",
  readFile: "pread",
  writeFile: "pwrite",
  sendFile: "sendfile",
  splice: "splice",
  sendZeroCopy: "sendZeroCopy",
};
const BATCHES_AT = 3 * CALLS.length;
const BATCH_SIZES = 10;
const ERRORS_AT = BATCHES_AT + BATCH_SIZES;
const ERRNO_COUNT = 134;

/**
 * A kind of system call: `watch` is epoll_ctl, `wait` epoll_wait, `receive` recv and readv, `send`
 * send, sendmsg and writev, `readFile` pread, `writeFile` pwrite, `sendZeroCopy` sendmsg with MSG_ZEROCOPY.
 */
export type CallName =
  | "accept"
  | "connect"
  | "watch"
  | "wait"
  | "receive"
  | "send"
  | "open"
  | "readFile"
  | "writeFile"
  | "sendFile"
  | "splice"
  | "sendZeroCopy";

/** The number of times that a system call was made. */
export interface CallCounts {
  /** Calls, failed ones included. */
  calls: number;
  /** Those of them that had nothing to do yet (EAGAIN, EINPROGRESS). */
  notReady: number;
  /** Bytes that they moved; 0 where a call moves none. */
  bytes: number;
}

/** The place of a kind's three counters. */
function placeOf(name: CallName): number {
  return 3 * CALLS.indexOf(KINDS[name]);
}

/** Bytes of connections and datagram sockets, as the kernel moved them: those of TLS are encrypted. */
export interface ByteTotals {
  /** Bytes that came, those that `pipe` and `receiveFile` have moved included. */
  received: number;
  /** Bytes that the kernel took to send, those of files and pipes included. */
  sent: number;
}

/** Waits for events. */
export interface WaitCounts {
  /** Those that only looked. */
  hotWaits: number;
  /** Those that may block. */
  warmWaits: number;
  /** Events that they brought. */
  events: number;
  /** Waits that brought 0, 1, 2–3, 4–7, … events: at index n fewer than 2^n, and 2^(n-1) or more. */
  batches: number[];
}

/** All of them. */
export interface AllCallCounts {
  /** By what they do. */
  calls: Record<CallName, CallCounts>;
  /** Connections that were accepted. */
  accepted: number;
  /** Waits for events. */
  waits: WaitCounts;
  /** Failures by the name of the error, those that a socket had later included. */
  errors: Record<string, number>;
}

const MOVES_BYTES: ReadonlySet<CallName> = new Set<CallName>([
  "receive",
  "send",
  "readFile",
  "sendFile",
  "splice",
  "sendZeroCopy",
]);

const counters = new Float64Array(ERRORS_AT + ERRNO_COUNT);

function sumOf(kind: CallName): number {
  return counters[placeOf(kind) + 1]!;
}

function callCounts(name: CallName): CallCounts {
  const at = placeOf(name);
  return {
    calls: counters[at]!,
    notReady: name === "wait" ? 0 : counters[at + 2]!,
    bytes: MOVES_BYTES.has(name) ? sumOf(name) : 0,
  };
}

function waitCounts(): WaitCounts {
  const at = placeOf("wait");
  // A wait is never not ready: in its place are those that may block.
  const warmWaits = counters[at + 2]!;
  const batches = [...counters.subarray(BATCHES_AT, ERRORS_AT)];
  return { hotWaits: counters[at]! - warmWaits, warmWaits, events: sumOf("wait"), batches };
}

function errorCounts(): Record<string, number> {
  const errors: Record<string, number> = {};
  for (let errno = 1; errno < ERRNO_COUNT; errno++) {
    const count = counters[ERRORS_AT + errno]! + (counts.socketErrors[errno] ?? 0);
    if (count > 0) errors[nameOf(errno)] = count;
  }
  return errors;
}

/** The bytes that calls of this thread have moved. */
export function byteTotals(calls: Record<CallName, CallCounts>): ByteTotals {
  const { receive, send, sendFile, sendZeroCopy } = calls;
  return {
    received: receive.bytes + counts.spliced.received,
    sent: send.bytes + sendFile.bytes + sendZeroCopy.bytes + counts.spliced.sent,
  };
}

/** The calls of this thread so far. */
export function readCallCounts(): AllCallCounts {
  native.counters(counters, counters.length);
  const names = Object.keys(KINDS) as CallName[];
  return {
    calls: Object.fromEntries(names.map((name) => [name, callCounts(name)])) as Record<
      CallName,
      CallCounts
    >,
    accepted: sumOf("accept"),
    waits: waitCounts(),
    errors: errorCounts(),
  };
}

/**
 * Sending from our own pages (MSG_ZEROCOPY): what is worth it, what the kernel says to it, and when
 * to leave it.
 *
 * The kernel may refuse at any send (ENOBUFS) or copy all the same (`COPIED`, on loopback and
 * through many virtual devices). Either way the bytes leave at once, in order: by copying. Nothing
 * here waits for a completion but the memory.
 */
import { native } from "../../ffi/load.ts";
import { blocks } from "../buffer/block.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import { counts, noZeroCopy, type ZeroCopyTotals } from "../core/counts.ts";
import { ERRNO } from "../core/errno.ts";
import {
  IOVECS_MAX,
  ZERO_COPY_ALWAYS_BYTES,
  ZERO_COPY_BYTES_FIRST,
  ZERO_COPY_BYTES_MAX,
  ZERO_COPY_BYTES_MIN,
  ZERO_COPY_CALL_BYTES_MAX,
  ZERO_COPY_CALLS_MAX,
  ZERO_COPY_COPIED_MAX,
  ZERO_COPY_COPIED_PAUSE,
  ZERO_COPY_LOCKED_KIB_MIN,
  ZERO_COPY_NO_BUFFERS_PAUSE,
  ZERO_COPY_OUTSTANDING_BYTES_MAX,
  ZERO_COPY_PINNED_BYTES_MAX,
} from "../core/limits.ts";
import { show } from "../core/options.ts";
import { isSameMachine, type StreamAddress } from "../net/address.ts";
import { getOption, Option, setOption } from "../net/socket.ts";
import { putPiece, SocketTransport, table } from "./descriptor.ts";
import { MSG_MORE, sending, type Transport } from "./transport.ts";
import { ZeroCopyCalls } from "./zero_copy_calls.ts";

/**
 * When what is flushed leaves from our memory, **pinned** until the peer has acknowledged it,
 * instead of a copy that the kernel makes.
 *
 * - `"off"`: never.
 * - `"auto"`: pieces of 64 KiB or more (a threshold that adapts between 16 and 256 KiB), to peers on
 *   other machines; arrays of your own are sent by copying, as they are borrowed until flushed only.
 * - `"always"`: pieces of 4 KiB or more, to peers on this machine too; arrays of your own are copied
 *   into our memory when they are written.
 *
 * Either stops for a while where the kernel reports that it has to copy after all, or has no memory
 * for it. docs/ZEROCOPY.md tells when it pays.
 */
export type ZeroCopyMode = "off" | "auto" | "always";

/** A mode as a user gave it. */
export function checkZeroCopy(mode: ZeroCopyMode): ZeroCopyMode {
  if (mode === "off" || mode === "auto" || mode === "always") return mode;
  throw new TypeError(`Cannot set zeroCopy to ${show(mode)}: it is "off", "auto" or "always"`);
}

/**
 * Why flushes are sent by copying although they are large enough: null while they are not.
 *
 * - `"off"`: nobody asked for zero copy.
 * - `"local"`: the peer is on this machine, where the kernel copies anyway; `"always"` tries it.
 * - `"unsupported"`: it is no TCP socket.
 * - `"numbered"`: somebody else has used zero copy on the socket: its numbers are not known.
 * - `"locked memory"`: RLIMIT_MEMLOCK leaves too little to be pinned.
 * - `"copied"`: the kernel reported that it copied; it is asked again later.
 * - `"no buffers"`: the kernel had no memory for it (net.core.optmem_max, RLIMIT_MEMLOCK) although
 *   nothing was under way; it is asked again later.
 * - `"full"`: the same, or one of our bounds, until something that is under way completes.
 */
export type ZeroCopyObstacle =
  | "off"
  | "local"
  | "unsupported"
  | "numbered"
  | "locked memory"
  | "copied"
  | "no buffers"
  | "full";

/**
 * Counts of a connection's zero copy so far.
 *
 * @example Why is nothing sent without a copy?
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.zeroCopy = "always";
 * a.writer.malloc(8192).fill(1);
 * await a.writer.flush();
 * console.log(a.zeroCopyCounts.obstacle); // "unsupported": it is no TCP socket
 * await a.close();
 * await b.close();
 * ```
 */
export interface ZeroCopyCounts extends ZeroCopyTotals {
  /** Sends that have not completed. */
  outstandingCalls: number;
  /** The bytes of them, which are pinned. */
  outstandingBytes: number;
  /** The length from which a piece is sent without a copy, in bytes. */
  thresholdBytes: number;
  /** Why the next large flush is sent by copying, or null. */
  obstacle: ZeroCopyObstacle | null;
}

/** The connection, as zero copy needs it. */
export interface ZeroCopyOwner {
  /** The two ends of its descriptor. */
  readonly nearAddress: StreamAddress;
  readonly farAddress: StreamAddress;
  /** Bytes to be sent. */
  readonly output: LinkChain;
  /** Completions are to be watched from now on. */
  onZeroCopyBegin(): void;
}

/** Notifications between two looks at the threshold. */
const SAMPLES = 64;
/** So many sends in one notification are a stream: completing is cheap. */
const STREAM_CALLS = 4;
/** So few are requests and answers. */
const ANSWER_CALLS = 1.2;
/** A small piece before a large one is pinned with it, if it is at most this part of the call. */
const SMALL_PART = 8;
const COMPLETION_WORDS = 4;
const COMPLETIONS_PER_DRAIN = 4;
/** Obstacles that will not go by themselves. */
const LASTING: ReadonlySet<ZeroCopyObstacle | null> = new Set<ZeroCopyObstacle>([
  "off",
  "local",
  "unsupported",
  "numbered",
  "locked memory",
]);

// One a thread: no drain is under way when another begins.
const completions = new Uint32Array(COMPLETION_WORDS * COMPLETIONS_PER_DRAIN);

/** The most that a call may pin; 0 where nothing may be. Asked for once. */
let callBytesMax = -1;

/**
 * RLIMIT_MEMLOCK is charged with all that a call asks for, and some pages more: a call of half of it
 * always fits when it is the only one.
 */
function findCallBytesMax(): number {
  const lockedKib = native.pinnedMax();
  if (lockedKib < ZERO_COPY_LOCKED_KIB_MIN) return 0;
  return Math.min(ZERO_COPY_CALL_BYTES_MAX, lockedKib * 1024 / 2);
}

/** The plan of the next call; the table has its pieces. */
const plan = { pieces: 0, bytes: 0, isLarge: false };

function isLarge(node: LinkNode, threshold: number): boolean {
  return node.block !== null && node.readable >= threshold;
}

function addPiece(node: LinkNode, bytesMax: number): void {
  const length = Math.min(node.readable, bytesMax - plan.bytes);
  if (length === 0) return;
  putPiece(plan.pieces++, node, length);
  plan.bytes += length;
}

/** Returns whether a small piece leaves with the large ones behind it: a header with its body. */
function joins(chain: LinkChain, node: LinkNode, threshold: number): boolean {
  if (node.block === null || node === chain.flushing) return false;
  const after = node.next!;
  return isLarge(after, threshold) && node.readable * SMALL_PART <= after.readable;
}

/**
 * Plans the longest run of pieces of one kind, large or small, from a node on. Small ones are never
 * pinned in between: the kernel puts at most 17 pieces into a packet, however short. `most` bytes at
 * most: behind them something else may follow.
 */
function planRun(chain: LinkChain, first: LinkNode, threshold: number, most: number): void {
  if (callBytesMax < 0) callBytesMax = findCallBytesMax();
  const bytesMax = Math.min(most, callBytesMax || ZERO_COPY_CALL_BYTES_MAX);
  plan.pieces = 0;
  plan.bytes = 0;
  plan.isLarge = isLarge(first, threshold) || joins(chain, first, threshold);
  for (let node: LinkNode | null = first; node !== null; node = node.next) {
    const isEmpty = node.readable === 0;
    if (!isEmpty && node.block === null) return;
    const isOther = isLarge(node, threshold) !== plan.isLarge && node !== first;
    if (!isEmpty && isOther) return;
    addPiece(node, bytesMax);
    if (node === chain.flushing || plan.pieces === IOVECS_MAX) return;
    if (plan.bytes === bytesMax) return;
  }
}

/** The zero-copy sending of one connection: the transport of a socket, with another `send`. */
export class ZeroCopy extends SocketTransport {
  /** The connection is ending: what its completions say of copies is no sample. */
  isEnding = false;
  #mode: ZeroCopyMode = "off";
  #obstacle: ZeroCopyObstacle | null = "off";
  #io: Transport;
  readonly #owner: ZeroCopyOwner;
  /** Made with the first send. */
  #calls: ZeroCopyCalls | null = null;
  /** True if nothing lasting is in the way, in this mode. */
  #isClear = false;
  #threshold = ZERO_COPY_BYTES_FIRST;
  /** Large sends to be made by copying before the kernel is asked again. */
  #pause = 0;
  #copiedPause: number = ZERO_COPY_COPIED_PAUSE[0];
  #noBuffersPause: number = ZERO_COPY_NO_BUFFERS_PAUSE[0];
  #copiedRun = 0;
  #sampledCalls = 0;
  #sampleCount = 0;
  #waiting: { target: number; resolve: () => void }[] = [];
  readonly #counts: ZeroCopyTotals = noZeroCopy();

  /** Zero copy, off, for what else sends by `io`. */
  constructor(io: Transport, owner: ZeroCopyOwner) {
    super();
    this.#io = io;
    this.#owner = owner;
  }

  /** When it is used. */
  get mode(): ZeroCopyMode {
    return this.#mode;
  }

  set mode(mode: ZeroCopyMode) {
    this.#mode = mode;
    this.#threshold = mode === "always" ? ZERO_COPY_ALWAYS_BYTES : ZERO_COPY_BYTES_FIRST;
    this.#obstacle = mode === "off" ? "off" : this.#io.canPin ? null : "unsupported";
    this.#pause = 0;
    this.#isClear = false;
  }

  /** From now on what else is sent is sent by another transport, which cannot pin. */
  yieldTo(io: Transport): void {
    this.#io = io;
    this.mode = this.#mode;
  }

  /** The calls that the connection sends with. */
  get transport(): Transport {
    return this.#obstacle === "off" || this.#obstacle === "unsupported" ? this.#io : this;
  }

  /** True if the kernel may still read our memory. */
  get isPinning(): boolean {
    return this.#calls !== null && this.#calls.count > 0;
  }

  /** Its counts so far. */
  counts(): ZeroCopyCounts {
    return {
      ...this.#counts,
      outstandingCalls: this.#calls?.count ?? 0,
      outstandingBytes: this.#calls?.bytes ?? 0,
      thresholdBytes: this.#threshold,
      obstacle: this.#obstacle,
    };
  }

  /** Counts for this connection, and for all of the thread. */
  #add(what: keyof ZeroCopyTotals, count: number): void {
    this.#counts[what] += count;
    counts.zeroCopy[what] += count;
  }

  // ---- sending ----------------------------------------------------------------------------------

  override send(
    fd: number,
    chain: LinkChain,
    first: LinkNode,
    most: number,
    flags: number,
  ): number {
    const isWorthIt = most >= this.#threshold && !LASTING.has(this.#obstacle);
    // Bytes read from a file to be sent have a chain of their own: nobody counts them as released.
    if (!isWorthIt || chain !== this.#owner.output) {
      return super.send(fd, chain, first, most, flags);
    }
    planRun(chain, first, this.#threshold, most);
    if (plan.pieces === 0) return super.send(fd, chain, first, most, flags); // a borrowed array
    const more = plan.bytes < most ? MSG_MORE : flags;
    sending.offeredBytes = plan.bytes;
    if (!plan.isLarge) return native.sendmsg(fd, table, plan.pieces, more);
    if (this.#mayPin(fd)) {
      const count = this.#sendPinned(fd, chain, first, more);
      if (count !== -ERRNO.ENOBUFS) return count;
    }
    this.#add("fallBacks", 1);
    return super.send(fd, chain, first, most, flags);
  }

  /** Bytes, or `-errno`. After ENOBUFS nothing was sent, and nothing is to be waited for. */
  #sendPinned(fd: number, chain: LinkChain, first: LinkNode, flags: number): number {
    const { pieces } = plan;
    let count = native.sendmsgZeroCopy(fd, table, pieces, flags);
    if (count === -ERRNO.ENOBUFS) {
      this.#add("noBuffers", 1);
      if (this.drain(fd) > 0) count = native.sendmsgZeroCopy(fd, table, pieces, flags);
      if (count === -ERRNO.ENOBUFS) this.#onNoBuffers();
    }
    if (count > 0) {
      this.#calls!.add(chain.total, count, first);
      this.#add("calls", 1);
      this.#add("bytes", count);
    }
    return count;
  }

  #mayPin(fd: number): boolean {
    if (this.#obstacle === "full") return false;
    if (this.#obstacle !== null) return this.#countPause();
    if (!this.#isClear) {
      this.#obstacle = this.#begin(fd);
      if (this.#obstacle !== null) return false;
      this.#isClear = true;
    }
    // A program that flushes in a loop gives the poller no turn to tell of completions.
    if (this.#isAtBound && (this.drain(fd) === 0 || this.#isAtBound)) {
      this.#obstacle = "full";
      return false;
    }
    return blocks.pinnedBytes < ZERO_COPY_PINNED_BYTES_MAX;
  }

  get #isAtBound(): boolean {
    const { count, bytes } = this.#calls!;
    return count === ZERO_COPY_CALLS_MAX || bytes >= ZERO_COPY_OUTSTANDING_BYTES_MAX;
  }

  /** One more send that copies. Whether it is time to ask the kernel again. */
  #countPause(): boolean {
    this.#pause -= 1;
    if (this.#pause > 0) return false;
    this.#obstacle = null;
    return true;
  }

  /** Finds out whether it can be, and lets the socket take it. What is in the way. */
  #begin(fd: number): ZeroCopyObstacle | null {
    const { nearAddress, farAddress } = this.#owner;
    if (farAddress.transport === "unix") return "unsupported";
    if (this.#mode === "auto" && isSameMachine(nearAddress, farAddress)) return "local";
    if (this.#calls !== null) return null;
    if (callBytesMax === 0) return "locked memory";
    try {
      if (getOption(fd, Option.ZERO_COPY) !== 0) return "numbered";
      setOption(fd, Option.ZERO_COPY, 1);
    } catch {
      return "unsupported";
    }
    this.#calls = new ZeroCopyCalls();
    this.#owner.onZeroCopyBegin();
    return null;
  }

  /**
   * The kernel says by no event when it has memory again (EPOLLOUT does not tell), except by a
   * completion where one is to come.
   */
  #onNoBuffers(): void {
    if (this.isPinning) {
      this.#obstacle = "full";
      return;
    }
    this.#obstacle = "no buffers";
    this.#pause = this.#noBuffersPause;
    const [, factor, last] = ZERO_COPY_NO_BUFFERS_PAUSE;
    this.#noBuffersPause = Math.min(this.#pause * factor, last);
  }

  // ---- completing -------------------------------------------------------------------------------

  /** Takes what is in the socket's error queue. How many sends that completed. */
  drain(fd: number): number {
    let done = 0;
    while (this.isPinning) {
      const count = native.completions(fd, completions);
      if (count <= 0) break;
      for (let i = 0; i < count; i++) {
        const at = COMPLETION_WORDS * i;
        done += this.complete(
          completions[at + 1]!,
          completions[at + 2]!,
          completions[at + 3] !== 0,
        );
      }
    }
    return done;
  }

  /** Sends `lo` to `hi` have completed. How many of them were under way. */
  complete(lo: number, hi: number, isCopied: boolean): number {
    const done = this.#calls?.complete(lo, hi) ?? 0;
    if (done === 0) return 0;
    this.#add("completions", done);
    if (this.#obstacle === "full") this.#obstacle = null;
    if (!this.isEnding) this.#learn(done, isCopied);
    this.#settle();
    return done;
  }

  /** One notification is one sample: of a merged range, only the first part says if it was copied. */
  #learn(done: number, isCopied: boolean): void {
    this.#add("notifications", 1);
    if (isCopied) this.#add("copied", 1);
    this.#copiedRun = isCopied ? this.#copiedRun + 1 : 0;
    if (this.#copiedRun >= ZERO_COPY_COPIED_MAX) return this.#onCopied();
    if (!isCopied) {
      this.#copiedPause = ZERO_COPY_COPIED_PAUSE[0];
      this.#noBuffersPause = ZERO_COPY_NO_BUFFERS_PAUSE[0];
    }
    this.#sampledCalls += done;
    this.#sampleCount += 1;
    if (this.#sampleCount === SAMPLES) this.#adapt();
  }

  #onCopied(): void {
    if (this.#obstacle !== null) return;
    this.#obstacle = "copied";
    this.#pause = this.#copiedPause;
    const [, factor, last] = ZERO_COPY_COPIED_PAUSE;
    this.#copiedPause = Math.min(this.#pause * factor, last);
    // When it is asked again, one more such answer is enough.
    this.#copiedRun = ZERO_COPY_COPIED_MAX - 1;
  }

  #adapt(): void {
    const calls = this.#sampledCalls / this.#sampleCount;
    this.#sampledCalls = 0;
    this.#sampleCount = 0;
    if (this.#mode !== "auto") return;
    if (calls >= STREAM_CALLS) this.#threshold = Math.max(ZERO_COPY_BYTES_MIN, this.#threshold / 2);
    else if (calls <= ANSWER_CALLS) {
      this.#threshold = Math.min(ZERO_COPY_BYTES_MAX, this.#threshold * 2);
    }
  }

  /** Resolves when nothing before `target` bytes of the stream is pinned. */
  released(target: number): Promise<void> {
    if (this.#calls === null || this.#calls.releasedTo >= target) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ target, resolve });
    return promise;
  }

  #settle(): void {
    const { releasedTo } = this.#calls!;
    const done = this.#waiting.filter(({ target }) => target <= releasedTo);
    if (done.length === 0) return;
    this.#waiting = this.#waiting.filter(({ target }) => target > releasedTo);
    for (const { resolve } of done) resolve();
  }
}

/**
 * A stream of the runtime as a transport: `node:net`, `node:tls`, or any other Duplex.
 *
 * It acts like a descriptor in an epoll set. What the stream has emitted can be received; what it
 * has room for can be sent; and as long as something of interest can be done, that is told again.
 * All bytes are copied, both ways: a stream may keep what it was given for longer than until it
 * calls back (a PassThrough hands the same array on), and blocks are used again.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { clearTimeout, setTimeout } from "node:timers";
import { host } from "../../ffi/runtime.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import { ERRNO, NOT_READY, numberOf } from "../core/errno.ts";
import { EofError, NetpollError, SystemError } from "../core/errors.ts";
import {
  BROUGHT_BYTES_MAX,
  CLOSE_TIMEOUT_MS,
  EAGER_BYTES_MAX,
  STREAM_BYTES_PER_TURN_MAX,
  STREAM_WRITE_BYTES_MAX,
} from "../core/limits.ts";
import { packAddress, type PackedAddress, rawAddress, rawFromNumeric } from "../net/address.ts";
import type { Poller } from "../poll/poller.ts";
import { Event, Interest, type Watcher } from "../poll/watcher.ts";
import { sending, TAKEN_AWAY, type Transport } from "./transport.ts";

/** The one registration of each. */
const TOKEN = 0;
const EITHER = Interest.READ | Interest.WRITE;

/**
 * The number of our calls into streams that have not returned. What streams emit meanwhile, to any
 * connection, is told later: no callback of a user's runs within his own call.
 */
let callCount = 0;

function call(stream: () => void): void {
  callCount += 1;
  try {
    stream();
  } finally {
    callCount -= 1;
  }
}

/** A stream as one end of a connection. */
export class DuplexTransport implements Transport, Watcher {
  readonly isDescriptor = false;
  readonly canPin = false;
  readonly isPlain = false;
  readonly holdsBytes = false;
  readonly fd = -1;
  readonly #duplex: Duplex;
  readonly #canPause: boolean;
  #poller: Poller | null = null;
  #watcher: Watcher | null = null;
  #interest: number = Interest.NONE;
  #isTelling = false;
  /** The stream shall bring more. */
  #isFlowing = false;
  /** Chunks that were emitted and not received. */
  #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that were received. */
  #takenBytes = 0;
  #heldBytes = 0;
  /** Bytes that were received since there was a turn. */
  #turnBytes = 0;
  /** The peer's side has ended. */
  #isEnded = false;
  /** Our side has ended. */
  #isEnding = false;
  /** … and everything before has left. */
  #isFinished = false;
  #failure: Error | null = null;
  /** Bytes at the front of the chain that the stream was given and has not called back for. */
  #inFlightBytes = 0;
  /** Bytes at the front of the chain that it has called back for. */
  #doneBytes = 0;
  #isReset = false;
  #isClosed = false;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** The addresses of both ends, once they are known: a socket that is destroyed has none. */
  #names: readonly [PackedAddress, PackedAddress] | null = null;

  /** A transport over a stream that nobody else reads. */
  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    this.#canPause = host.pausesTls || !isTls(duplex);
  }

  // ---- what the stream says ------------------------------------------------------------------

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.#isClosed || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    this.#tell(Event.READABLE);
    if (this.#heldBytes > BROUGHT_BYTES_MAX) this.#flow();
  };

  readonly #onEnd = (): void => {
    this.#isEnded = true;
    this.#tell(Event.READABLE | Event.PEER_ENDED);
  };

  readonly #onConnect = (): void => {
    const { localAddress, localPort, remoteAddress, remotePort } = this.#duplex as Partial<Socket>;
    const [ours, theirs] = [packed(localAddress, localPort), packed(remoteAddress, remotePort)];
    if (ours !== null && theirs !== null) this.#names = [ours, theirs];
  };

  readonly #onDrain = (): void => this.#tell(Event.WRITABLE);

  readonly #onFinish = (): void => {
    this.#isFinished = true;
    if (this.#isClosed) return this.#letGo();
    this.#tell(Event.WRITABLE);
  };

  readonly #onError = (error: Error): void => this.#fail(error);

  readonly #onClose = (): void => {
    clearTimeout(this.#closeTimer);
    if (this.#isEnded && this.#failure === null) {
      // As a socket whose peer is gone: who sends something will hear of it.
      if (!this.#isFinished) this.#failure = new SystemError("send", ERRNO.EPIPE);
      return this.#tell(Event.READABLE | Event.HANG_UP);
    }
    this.#fail(new SystemError("receive", ERRNO.ECONNRESET));
  };

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    if (this.#isClosed || this.#poller === null) return;
    call(() => this.#readRest());
    this.#tell(Event.READABLE | Event.ERROR);
  }

  /** Reads what came before the stream broke: nobody else will ask for it. */
  #readRest(): void {
    const { length } = this.#chunks;
    const rest: Uint8Array[] = [];
    for (let chunk; (chunk = this.#duplex.read()) !== null;) rest.push(chunk);
    if (this.#chunks.length > length) return; // it was emitted as well
    for (const chunk of rest) this.#onData(chunk);
  }

  // ---- telling -------------------------------------------------------------------------------

  get #isEdge(): boolean {
    return (this.#interest & Interest.EDGE) !== 0;
  }

  /** The events of interest that there are now. */
  #ready(): number {
    const interest = this.#interest;
    const isBroken = this.#failure !== null;
    let events = 0;
    if (this.#heldBytes > 0 || this.#isEnded || isBroken) events |= Event.READABLE;
    const isAsked = (interest & Interest.WRITE) !== 0;
    if (isAsked && (this.#doneBytes > 0 || this.#hasRoom || isBroken)) events |= Event.WRITABLE;
    return events & interest;
  }

  /** Whether it takes more. A stream that has passed on all that it had does, whatever it says. */
  get #hasRoom(): boolean {
    const { writableLength, writableNeedDrain } = this.#duplex;
    return this.#inFlightBytes === 0 && (writableLength === 0 || !writableNeedDrain);
  }

  /** Tells the watcher: at once where nothing of a user's is on the stack, nor others wait for long. */
  #tell(events: number): void {
    const watcher = this.#watcher;
    events &= this.#interest | Event.ERROR | Event.HANG_UP;
    if (watcher === null || events === 0) return;
    const poller = this.#poller!;
    const isWithin = callCount > 0 || this.#isTelling || poller.pace.isRunning;
    if (isWithin || this.#turnBytes > STREAM_BYTES_PER_TURN_MAX) return poller.again(this);
    this.#tellNow(watcher, events);
  }

  #tellNow(watcher: Watcher, events: number): void {
    const poller = this.#poller!;
    this.#isTelling = true;
    poller.tell(watcher, events);
    this.#isTelling = false;
    if (!this.#isEdge && this.#ready() !== 0) poller.again(this);
  }

  /** Tells of what was put off, or is left. */
  onEvent(): void {
    const watcher = this.#watcher;
    if (watcher === null) return;
    this.#turnBytes = 0;
    let events = this.#ready();
    if (this.#failure !== null) events |= Event.ERROR;
    if (events !== 0) this.#tellNow(watcher, events);
  }

  onFailure(error: unknown): void {
    this.#watcher?.onFailure(error);
  }

  watch(poller: Poller, watcher: Watcher, interest: number): number {
    poller.prepareTimers(); // without a descriptor of ours nobody else has made the waker
    this.#poller = poller;
    const duplex = this.#duplex;
    // The peer's end must not end our side: that is for the connection to do.
    duplex.allowHalfOpen = true;
    duplex.on("data", this.#onData);
    duplex.on("end", this.#onEnd);
    duplex.on("drain", this.#onDrain);
    duplex.on("finish", this.#onFinish);
    duplex.on("error", this.#onError);
    duplex.on("close", this.#onClose);
    duplex.once("connect", this.#onConnect);
    this.#onConnect();
    this.#isEnded = duplex.readableEnded;
    if (duplex.destroyed) {
      this.#fail(duplex.errored ?? new SystemError("receive", ERRNO.ECONNRESET));
    }
    // Not before: whoever begins to watch is told of nothing within that call.
    this.#watcher = watcher;
    this.modify(poller, TOKEN, -1, interest);
    return TOKEN;
  }

  rewatch(_poller: Poller, _token: number, watcher: Watcher): void {
    this.#watcher = watcher;
  }

  modify(poller: Poller, _token: number, _fd: number, interest: number): void {
    this.#interest = interest;
    this.#flow();
    if ((interest & EITHER) !== 0 && this.#ready() !== 0) poller.again(this);
  }

  /** Lets the stream bring more, or not, as there is need of it and room for it. */
  #flow(): void {
    const isWanted = (this.#interest & Interest.READ) !== 0;
    const isRoom = this.#heldBytes <= BROUGHT_BYTES_MAX;
    const isFlowing = (isWanted && isRoom) || !this.#canPause;
    if (isFlowing === this.#isFlowing) return;
    this.#isFlowing = isFlowing;
    call(() => isFlowing ? this.#duplex.resume() : this.#duplex.pause());
  }

  unwatch(): void {
    this.#watcher = null;
  }

  // ---- bytes ---------------------------------------------------------------------------------

  receive(_fd: number, slab: Slab, offset: number, length: number): number {
    const chunks = this.#chunks;
    // While it is paused it may have read on, and those bytes have come.
    if (chunks.length === 0 && this.#duplex.readableLength > 0) call(() => this.#readRest());
    if (chunks.length === 0) {
      if (this.#failure !== null) return -errnoOf(this.#failure);
      return this.#isEnded ? 0 : NOT_READY;
    }
    const { bytes } = slab;
    let count = 0;
    while (count < length && chunks.length > 0) {
      const chunk = chunks[0]!;
      const taken = this.#takenBytes;
      const part = Math.min(chunk.length - taken, length - count);
      bytes.set(
        part === chunk.length ? chunk : chunk.subarray(taken, taken + part),
        offset + count,
      );
      count += part;
      this.#takenBytes = taken + part === chunk.length ? 0 : taken + part;
      if (this.#takenBytes === 0) chunks.shift();
    }
    this.#heldBytes -= count;
    this.#turnBytes += count;
    if (!this.#isFlowing) this.#flow();
    return count;
  }

  /**
   * Few bytes count as sent when the stream has taken them, as they do when a kernel has. Many count
   * when it calls back; until then they are in the chain as well.
   */
  send(_fd: number, chain: LinkChain, first: LinkNode, most: number): number {
    sending.offeredBytes = 0;
    if (this.#failure !== null) return -errnoOf(this.#failure);
    if (this.#doneBytes > 0) return this.#takeDone(most);
    if (!this.#hasRoom) return NOT_READY;
    if (first.isTaken) return TAKEN_AWAY;
    const bytes = copyOf(chain, first, Math.min(most, STREAM_WRITE_BYTES_MAX));
    const { length } = bytes;
    if (length <= EAGER_BYTES_MAX) {
      this.#write(bytes);
      sending.offeredBytes = length;
      return length;
    }
    this.#inFlightBytes = length;
    this.#write(bytes, this.#onWritten);
    // It has passed all of it on: no need to wait for the call.
    if (this.#doneBytes === 0 && this.#duplex.writableLength > 0) return NOT_READY;
    this.#doneBytes = length;
    return this.#takeDone(length);
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error != null || this.#inFlightBytes === 0) return; // it is told of by an event, or was done at once
    this.#doneBytes = this.#inFlightBytes;
    this.#tell(Event.WRITABLE);
  };

  #takeDone(most: number): number {
    const count = Math.min(this.#doneBytes, most);
    this.#doneBytes -= count;
    this.#inFlightBytes -= count;
    sending.offeredBytes = count;
    return count;
  }

  #write(bytes: Buffer, onWritten?: (error?: Error | null) => void): void {
    callCount += 1;
    try {
      this.#duplex.write(bytes, onWritten);
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      callCount -= 1;
    }
  }

  // A file is read and sent.
  sendFile(): number {
    return -ERRNO.EINVAL;
  }

  cork(): void {}

  unreadBytes(): number {
    return this.#heldBytes + this.#duplex.readableLength;
  }

  /** The bytes that the stream has not called back for, without those that count as unsent. */
  unackedBytes(): number {
    const bytes = Math.max(0, this.#duplex.writableLength - this.#inFlightBytes);
    return bytes + (this.#isEnding && !this.#isFinished ? 1 : 0);
  }

  hasPending(): boolean {
    return this.#heldBytes > 0;
  }

  // ---- the end -------------------------------------------------------------------------------

  failure(): NetpollError | null {
    const failure = this.#failure;
    return failure === null ? null : this.error(-1, "go on with the connection", errnoOf(failure));
  }

  error(_fd: number, call: string, errno: number): NetpollError {
    const cause = this.#failure;
    if (cause instanceof SystemError) return cause;
    if (cause === null || errnoOfName(cause) > 0) {
      return new SystemError(call, errno, "", { cause: cause ?? undefined });
    }
    return new EofError(`Cannot ${call}: the stream failed: ${cause.message}`, { cause });
  }

  shutdownWrite(): number {
    if (this.#failure !== null) return -errnoOf(this.#failure);
    this.#isEnding = true;
    call(() => this.#duplex.end());
    return 0;
  }

  resetOnClose(_fd: number, isOn: boolean): void {
    this.#isReset = isOn;
  }

  cut(): void {
    this.#isReset = true;
  }

  close(): void {
    this.#isClosed = true;
    this.#chunks = [];
    this.#heldBytes = 0;
    const isLost = this.#isReset || this.#failure !== null;
    call(() => isLost ? this.#abort() : this.#closeInOrder());
  }

  #abort(): void {
    const socket = this.#duplex as Socket;
    const canReset = typeof socket.resetAndDestroy === "function" && !isTls(socket);
    if (canReset) return void socket.resetAndDestroy();
    const isOurs = this.#failure === null;
    socket.destroy(isOurs ? new NetpollError("Cannot go on: the connection was reset") : undefined);
  }

  /** Our end leaves, and what the peer sends before its own is dropped, for a while. */
  #closeInOrder(): void {
    const duplex = this.#duplex as Socket;
    duplex.resume();
    if (!this.#isEnding) duplex.end();
    this.#closeTimer = setTimeout(() => duplex.destroy(), CLOSE_TIMEOUT_MS);
    this.#closeTimer.unref();
    if (this.#isFinished) this.#letGo();
  }

  /**
   * All is with the stream, which destroys itself when the peer has ended as well. We do so in the end
   * only: what a TLS socket of Deno has called back for may be on its way in it, and is lost then.
   */
  #letGo(): void {
    // The peer's end is worth no process that stays alive for it.
    if (!this.#isEnded) (this.#duplex as Partial<Socket>).unref?.();
  }

  disown(): number {
    return -1;
  }

  // ---- what is known of it -------------------------------------------------------------------

  name(_fd: number, end: 0 | 1): PackedAddress {
    return this.#names === null ? packAddress(rawAddress()) : this.#names[end];
  }

  tcp(): null {
    return null;
  }
}

/** Whether a stream is a socket of node:tls. */
function isTls(duplex: Duplex): boolean {
  return (duplex as { encrypted?: boolean }).encrypted === true;
}

/** An address of a socket, or null where it has none. Names of interfaces are left out. */
function packed(hostname: unknown, port: unknown): PackedAddress | null {
  if (typeof hostname !== "string" || typeof port !== "number") return null;
  return packAddress(rawFromNumeric(hostname.split("%")[0]!, port));
}

/** The number of an error of the kernel; 0 for any other error. */
function errnoOfName(error: Error): number {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? numberOf(code) : 0;
}

/** The number that stands for an error, whatever it is. */
function errnoOf(error: Error): number {
  return errnoOfName(error) || ERRNO.EPROTO;
}

/** The first bytes of a chain, in memory of their own. Borrowed arrays that are gone end it. */
function copyOf(chain: LinkChain, first: LinkNode, most: number): Buffer {
  let count = 0;
  for (let node: LinkNode | null = first; node !== null && count < most; node = node.next) {
    if (node.isTaken) break;
    count += Math.min(node.readable, most - count);
    if (node === chain.flushing) break;
  }
  const copy = Buffer.allocUnsafe(count);
  for (let node = first, at = 0; at < count; node = node.next!) {
    const length = Math.min(node.readable, count - at);
    if (length > 0) copy.set(node.bytes.subarray(node.read, node.read + length), at);
    at += length;
  }
  return copy;
}

/**
 * PROXY headers on their way in and out: before the first byte of a connection, TLS included.
 */
import { native } from "../../ffi/load.ts";
import { counts } from "../core/counts.ts";
import { NOT_READY } from "../core/errno.ts";
import { type NetpollError, SystemError, TimeoutError } from "../core/errors.ts";
import { ProxyHeaderError } from "../core/proxy_header_error.ts";
import type { HeaderBounds } from "../net/header_policy.ts";
import type { ProxyHeader } from "../net/proxy_contract.ts";
import { readHeader } from "../net/proxy_header.ts";
import { cut } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest } from "../poll/watcher.ts";
import { type OnEnd, Preliminary } from "./preliminary.ts";

/** Look, and leave the bytes where they are (recv(2)). */
const MSG_PEEK = 2;
/** Room at first: the specification promises that all headers but those with large values fit. */
const ROOM_BYTES_FIRST = 536;

/**
 * A header that is read. No byte behind it is taken: the kernel is asked for a look, and then for the
 * bytes that are the header's. Those of one that is not whole all are, so nothing is reported twice.
 */
export class HeaderReading extends Preliminary {
  /** The header, once it has succeeded. */
  header: ProxyHeader | null = null;
  readonly #bytesMax: number;
  #bytes: Uint8Array;
  #length = 0;

  /** One that has not begun. When it fails, the close of the descriptor will reset the connection. */
  constructor(poller: Poller, fd: number, { timeoutMs, bytesMax }: HeaderBounds, onEnd: OnEnd) {
    super(poller, fd, { operation: "header", timeoutMs }, onEnd);
    this.#bytesMax = bytesMax;
    this.#bytes = new Uint8Array(Math.min(ROOM_BYTES_FIRST, bytesMax));
  }

  protected step(): void {
    try {
      while (this.#advance());
    } catch (error) {
      return this.end(error as NetpollError);
    }
    if (this.header !== null) this.end(null);
  }

  /** Whether there may be more to read at once. */
  #advance(): boolean {
    const seen = this.#receive(MSG_PEEK, this.#bytes.length);
    if (seen === NOT_READY) return false;
    if (seen === 0) {
      throw new ProxyHeaderError("truncated", `the connection ended after ${this.#length} bytes`);
    }
    const length = this.#length + seen;
    this.header = readHeader(this.#bytes.subarray(0, length), this.#bytesMax);
    const end = this.header?.headerBytes ?? length;
    // It gets what it has seen: nobody else reads here.
    this.#receive(0, end);
    this.#length = end;
    if (end === this.#bytes.length && this.header === null) this.#grow();
    return this.header === null;
  }

  /** Receives to the end of the room, or less of it. */
  #receive(flags: number, end: number): number {
    const count = native.recvArray(this.fd, this.#bytes, end, this.#length, flags);
    if (count >= 0 || count === NOT_READY) return count;
    throw new SystemError("receive the PROXY header", -count);
  }

  #grow(): void {
    const room = new Uint8Array(Math.min(4 * this.#bytes.length, this.#bytesMax));
    room.set(this.#bytes);
    this.#bytes = room;
  }

  protected count(error: NetpollError | null): void {
    const { proxyProtocol } = counts;
    if (error === null) return void (proxyProtocol.headers += 1);
    cut(this.fd);
    const { failures } = proxyProtocol;
    if (error instanceof ProxyHeaderError) failures[error.fault] += 1;
    else if (error instanceof TimeoutError) failures.timeout += 1;
    else failures.lost += 1;
  }
}

/** A header that is sent: as soon as there is room, and whole. */
export class HeaderSending extends Preliminary {
  readonly #bytes: Uint8Array;
  #sent = 0;

  /** One that has not begun. Whoever dials says how long it may take. */
  constructor(poller: Poller, fd: number, bytes: Uint8Array, onEnd: OnEnd) {
    super(poller, fd, { operation: "dial", timeoutMs: 0, interest: Interest.WRITE }, onEnd);
    this.#bytes = bytes;
  }

  protected step(): void {
    const { length } = this.#bytes;
    while (this.#sent < length) {
      const rest = length - this.#sent;
      const count = native.sendBorrowed(this.fd, this.#bytes, length, this.#sent, rest, 0);
      if (count === NOT_READY) return;
      if (count < 0) return this.end(new SystemError("send the PROXY header", -count));
      this.#sent += count;
    }
    this.end(null);
  }

  protected count(): void {}
}

/**
 * A client that obeys nobody: a socket of its own, call by call.
 */
import { Buffer } from "node:buffer";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import { check } from "../../src/core/check.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { rawFromNumeric } from "../../src/net/address.ts";
import { Option, setOption } from "../../src/net/socket.ts";
import { RawSocket } from "../support/raw_socket.ts";

const PIECE_BYTES = 64 * 1024;
/** Little: what its kernel takes is then what the server took, but for this. */
const SEND_BUFFER_BYTES = 64 * 1024;
/** The largest segment that is sent (tcp(7)). */
const MAX_SEGMENT = [6, 2] as const;
/** The byte is urgent (send(2)). */
export const MSG_OOB = 1;
/** There is no connection any more. */
const OVER = -1;

/** How an attacker connects. */
export interface AttackerOptions {
  /** The address that it comes from. */
  readonly from?: string;
  /** The room that its kernel has for what it is sent. */
  readonly receiveBufferBytes?: number;
  /** The largest segment, of both directions; 88 bytes at least. */
  readonly segmentBytes?: number;
  /** Whether it counts what it is sent, and keeps none of it. */
  readonly isDeaf?: boolean;
}

/** One connection of somebody who means no good. */
export class Attacker extends RawSocket {
  /** What it was sent so far, as far as it took it. */
  received = "";
  receivedBytes = 0;
  /** What its kernel took of it. */
  sentBytes = 0;
  isEnded = false;
  isReset = false;
  readonly #isDeaf: boolean;

  /** Begins to connect to a port of 127.0.0.1. */
  constructor(port: number, options: AttackerOptions = {}) {
    const to = rawFromNumeric("127.0.0.1", port);
    super(check("open a socket", native.socket(to[0]!)));
    const { from, receiveBufferBytes, segmentBytes, isDeaf = false } = options;
    this.#isDeaf = isDeaf;
    setOption(this.fd, Option.NO_DELAY, 1);
    setOption(this.fd, Option.SEND_BUFFER, SEND_BUFFER_BYTES);
    if (receiveBufferBytes) setOption(this.fd, Option.RECEIVE_BUFFER, receiveBufferBytes);
    if (segmentBytes) setOption(this.fd, MAX_SEGMENT, segmentBytes);
    if (from) check("bind", native.bind(this.fd, rawFromNumeric(from, 0)));
    const code = native.connect(this.fd, to);
    if (code !== -ERRNO.EINPROGRESS) check("connect", code);
  }

  /** Whether the server has ended its side, or reset the connection. */
  get isOver(): boolean {
    return this.isEnded || this.isReset;
  }

  /** Sends what the kernel has room for: how many bytes. */
  push(bytes: Uint8Array, offset = 0, length = bytes.length - offset, flags = 0): number {
    if (this.fd < 0) return 0;
    const count = native.sendBorrowed(this.fd, bytes, bytes.length, offset, length, flags);
    if (count === NOT_READY) return 0;
    if (this.#checked(count) === OVER) return 0;
    this.sentBytes += count;
    return count;
  }

  /** Takes what has come, up to so many pieces: how many bytes. */
  take(piecesMax = 16): number {
    if (this.fd < 0 || this.isOver) return 0;
    const block = blocks.take(PIECE_BYTES);
    let total = 0;
    try {
      for (let n = 0; n < piecesMax; n++) {
        const count = native.recv(this.fd, block.slab.id, block.offset, PIECE_BYTES);
        if (count === NOT_READY || this.#checked(count) === OVER) break;
        if (count === 0) this.isEnded = true;
        if (count === 0) break;
        total += count;
        this.receivedBytes += count;
        if (this.#isDeaf) continue;
        const bytes = block.slab.bytes.subarray(block.offset, block.offset + count);
        this.received += Buffer.from(bytes).toString("latin1");
      }
    } finally {
      block.release();
    }
    return total;
  }

  #checked(count: number): number {
    if (count >= 0) return count;
    if (![ERRNO.ECONNRESET, ERRNO.EPIPE, ERRNO.ECONNREFUSED].includes(-count as never)) {
      check("send or receive", count);
    }
    this.isReset = true;
    return OVER;
  }

  /** Ends its side, unless the connection is over. */
  override end(): void {
    if (this.fd >= 0) native.shutdown(this.fd, 1);
  }
}

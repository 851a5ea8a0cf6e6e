/**
 * Somebody who sends datagrams that nobody has asked for, from addresses that are not his: any of
 * 127.0.0.0/8, at ports that he closes again, so that answers meet nobody.
 */
import { native } from "../../ffi/load.ts";
import { type Block, blocks } from "../../src/buffer/block.ts";
import { check } from "../../src/core/check.ts";
import { DATAGRAMS_MAX } from "../../src/core/limits.ts";
import { Flag, putPeer, RECORD_WORDS, recordTable, Word } from "../../src/datagram/record.ts";
import { packPeer } from "../../mod.ts";
import { Family, rawFromNumeric } from "../../src/net/address.ts";
import type { Random } from "../support/random.ts";

/** Datagrams, or trains, that leave from one port. */
const PER_PORT = 1024;
const ADDRESSES = 2 ** 24;
const SLAB_BYTES = 64 * 1024;

/** Makes the bytes of a datagram, or a train (`segment` bytes each), in a place. How many there are. */
export type Forge = (room: Uint8Array, random: Random) => { length: number; segment?: number };

/** One who floods a port of 127.0.0.1. */
export class Flooder {
  /** Datagrams that the kernel took. */
  sentCount = 0;
  /** The bytes of them. */
  sentBytes = 0;
  readonly #to: number;
  readonly #random: Random;
  readonly #block: Block = blocks.take(SLAB_BYTES);
  readonly #table = recordTable(DATAGRAMS_MAX);
  #fd = -1;
  #left = 0;

  constructor(port: number, random: Random) {
    this.#to = packPeer(`127.0.0.1:${port}`) as number;
    this.#random = random;
  }

  #port(): number {
    if (this.#left > 0) return this.#fd;
    this.close();
    this.#fd = check("open a socket", native.datagramSocket(Family.IPV4));
    check("bind", native.bind(this.#fd, rawFromNumeric("0.0.0.0", 0)));
    this.#left = PER_PORT;
    return this.#fd;
  }

  /** An address of this machine's loopback, in the order of the network. */
  #source(): number {
    const host = 1 + this.#random.below(ADDRESSES - 2);
    return (127 | (host >>> 16) << 8 | (host >>> 8 & 255) << 16 | (host & 255) << 24) >>> 0;
  }

  /** Sends a batch, each from an address of its own. */
  send(forge: Forge): void {
    const fd = this.#port();
    const { slab, offset, capacity } = this.#block;
    let count = 0;
    for (let free = 0; count < DATAGRAMS_MAX; count++) {
      const room = slab.bytes.subarray(offset + free, offset + capacity);
      const { length, segment = 0 } = forge(room, this.#random);
      if (length > room.length) break;
      const at = RECORD_WORDS * count;
      putPeer(this.#table, at, this.#to);
      this.#table[at + Word.SLAB] = slab.id;
      this.#table[at + Word.OFFSET] = offset + free;
      this.#table[at + Word.LENGTH] = length;
      this.#table[at + Word.SEGMENT] = segment;
      this.#table[at + Word.FLAGS] = Flag.LOCAL;
      this.#table[at + Word.LOCAL] = this.#source();
      free += length;
      this.sentCount += segment === 0 ? 1 : Math.ceil(length / segment);
      this.sentBytes += length;
    }
    this.#left -= count;
    for (let sent = 0; sent < count;) {
      const taken = native.sendmmsg(fd, this.#table, sent, count - sent);
      // A port of it was closed, where answers met nobody: that is told of once.
      if (taken < 0) check("send", native.sendmmsg(fd, this.#table, sent, count - sent));
      else sent += taken;
    }
  }

  /** Closes the port that it has now. */
  close(): void {
    if (this.#fd >= 0) native.close(this.#fd);
    this.#fd = -1;
    this.#left = 0;
  }

  /** Ends. */
  [Symbol.dispose](): void {
    this.close();
    this.#block.release();
  }
}

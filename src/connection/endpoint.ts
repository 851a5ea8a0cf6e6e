/**
 * An endpoint: a descriptor, what its poller shall report of it, and the addresses of both ends.
 */
import { native } from "../../ffi/load.ts";
import { counts } from "../core/counts.ts";
import {
  type Address,
  Family,
  packAddress,
  type PackedAddress,
  rawAddress,
  unpackAddress,
} from "../net/address.ts";
import { resetOnClose } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";

const scratchAddress = rawAddress();

/** The addresses that are known without asking. */
export interface EndpointAddresses {
  /** Of this end. */
  readonly local: PackedAddress | null;
  /** Of the other end. */
  readonly remote: PackedAddress | null;
}

/** A descriptor that is watched. A connection is one: stream.ts goes on with it. */
export class Endpoint {
  /** The descriptor; -1 once it is gone. */
  fd: number;
  /** Whether our side has ended. */
  isWriteEnded = false;
  readonly #poller: Poller;
  #token = -1;
  #interest: number = Interest.NONE;
  #isHushed = false;
  #isOwing = false;
  /** The bit that asks for zero-copy completions, once there are any. */
  #completions: number = Interest.NONE;
  #remote: PackedAddress | null;
  #local: PackedAddress | null;

  /** A descriptor that nobody watches yet. */
  constructor(poller: Poller, fd: number, { local, remote }: EndpointAddresses) {
    this.#poller = poller;
    this.fd = fd;
    this.#local = local;
    this.#remote = remote;
  }

  /** Begins to watch, for reading. */
  watch(watcher: Watcher): void {
    this.#interest = Interest.READ | this.#completions;
    this.#token = this.#poller.add(watcher, this.#interest);
    counts.connections.opened += 1;
    counts.connections.activeCount += 1;
  }

  /** From now on zero-copy completions are reported as well. */
  watchCompletions(): void {
    this.#completions = Interest.COMPLETIONS;
    this.#interest |= Interest.COMPLETIONS;
    if (this.#token >= 0) this.#poller.modify(this.#token, this.fd, this.#interest);
  }

  /** Whether somebody watches. */
  get isWatched(): boolean {
    return this.#token >= 0;
  }

  /** Tells somebody else of its events from now on, if it is watched. */
  rewatch(watcher: Watcher): void {
    if (this.#token >= 0) this.#poller.replace(this.#token, watcher);
  }

  /** Sets what the poller reports from now on. */
  want(read: boolean, write: boolean): void {
    if (this.#token < 0) return;
    this.owe(write);
    let interest: number = (read ? Interest.READ : 0) | (write ? Interest.WRITE : 0);
    // Edge-triggered, what cannot be masked is reported once; wanting something again reports it
    // again.
    if (interest === Interest.NONE && this.#isHushed) interest = Interest.EDGE;
    const isHushed = interest === Interest.EDGE;
    if (this.#modify(interest)) this.#isHushed = isHushed;
  }

  /** From now on every change is told, once. */
  wantEdges(): void {
    if (this.#token < 0) return;
    this.owe(false);
    this.#modify((Interest.READ | Interest.WRITE | Interest.EDGE) >>> 0);
  }

  /**
   * While bytes of ours wait for room, the end of this process or of its thread, however it comes,
   * must not look to the peer like the end of the stream.
   */
  owe(isOwing: boolean): void {
    if (isOwing === this.#isOwing) return;
    this.#isOwing = isOwing;
    resetOnClose(this.fd, isOwing);
  }

  /** Whether that was another interest. */
  #modify(interest: number): boolean {
    if (this.#completions !== 0) interest = (interest | this.#completions) >>> 0;
    if (interest === this.#interest) return false;
    this.#interest = interest;
    this.#poller.modify(this.#token, this.fd, interest);
    return true;
  }

  /**
   * An error or a hang-up was reported that nobody acts on: while nothing is wanted it is not
   * reported again.
   */
  hush(): void {
    this.#isHushed = true;
  }

  /** Takes `hush` back: an error or a hang-up is reported again, if it is still there. */
  unhush(): void {
    this.#isHushed = false;
  }

  /** The address of the other end, packed. */
  get peer(): PackedAddress {
    return this.#remote ??= this.#name(1);
  }

  /** The address of this end. */
  get localAddress(): Address {
    return unpackAddress(this.#local ??= this.#name(0));
  }

  /** The address of the other end. */
  get remoteAddress(): Address {
    return unpackAddress(this.peer);
  }

  /**
   * The address of this end (0) or of the other (1); none when the kernel does not know any more.
   */
  #name(peer: number): PackedAddress {
    scratchAddress.fill(0);
    native.name(this.fd, peer, scratchAddress);
    return packAddress(scratchAddress);
  }

  /** Bytes that the kernel has for us. What is no socket may not say. */
  get unreadBytes(): number {
    return this.fd < 0 ? 0 : Math.max(0, native.unread(this.fd));
  }

  /**
   * Bytes that the kernel has and the peer did not take; to another socket of this machine, the
   * memory of what that has not read. Only a fall of it means something.
   */
  get untakenBytes(): number {
    return this.fd < 0 ? 0 : Math.max(0, native.unacked(this.fd));
  }

  /** Ends our side of the stream. */
  shutdownWrite(): void {
    this.isWriteEnded = true;
    native.shutdown(this.fd, 1);
  }

  /** Its family of addresses; 0 for what is no connected socket. */
  get #family(): number {
    const { peer } = this;
    return typeof peer === "number" ? Family.IPV4 : peer[0]!;
  }

  /** Whether it is a socket, and connected. */
  get isSocket(): boolean {
    return this.#family !== 0;
  }

  /** Bytes that the peer has not acknowledged; our end counts as one. */
  get #unacked(): number {
    const family = this.#family;
    // Bytes that another socket of this machine has not read yet are there all the same.
    if (family !== Family.IPV4 && family !== Family.IPV6) return 0;
    return Math.max(0, native.unacked(this.fd));
  }

  /** Bytes that the kernel has taken and a TCP peer has not acknowledged; 0 for all others. */
  get unackedBytes(): number {
    const unacked = this.#unacked;
    return this.isWriteEnded && unacked > 0 ? unacked - 1 : unacked;
  }

  /** Whether the peer has acknowledged all bytes, and our end. */
  get isEndAcked(): boolean {
    return this.#unacked === 0;
  }

  /** Somebody else will close the descriptor, at his time and in his way. */
  disown(): number {
    this.owe(false);
    return native.disown(this.fd);
  }

  /**
   * Stops watching, and notes the addresses: they are known afterwards, too. The descriptor, still
   * open.
   */
  release(): number {
    const { fd } = this;
    this.#local ??= this.#name(0);
    this.#remote ??= this.#name(1);
    if (this.#token >= 0) {
      this.#poller.remove(this.#token, fd);
      counts.connections.activeCount -= 1;
    }
    this.#token = -1;
    this.fd = -1;
    return fd;
  }
}

/**
 * An endpoint: a transport, what its poller shall report of it, and the addresses of both ends.
 */
import { counts } from "../core/counts.ts";
import { isNotNow } from "../core/errno.ts";
import type { NetpollError } from "../core/errors.ts";
import { Family, type PackedAddress, type StreamAddress, unpackAddress } from "../net/address.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import { clientAddress, type ProxyInfo, proxyOf } from "./proxied.ts";
import type { Transport } from "./transport.ts";

/** The addresses that are known without asking. */
export interface EndpointAddresses {
  /** Of this end. */
  readonly local: PackedAddress | null;
  /** Of the other end. */
  readonly remote: PackedAddress | null;
}

/** One end of a transport, watched. A connection is one: stream.ts goes on with it. */
export class Endpoint {
  /** The transport that it is one end of. */
  io: Transport;
  /** The descriptor; -1 once it is gone. */
  fd: number;
  /** Whether it was not released. */
  isOpen = true;
  /** Whether our side has ended. */
  isWriteEnded = false;
  /** Whether our side is to end as soon as there is room for what tells the peer. */
  isEndBlocked = false;
  /** Its number in this thread, from 1; 0 before it is watched. */
  serial = 0;
  /** The microseconds of the clock when it was first watched. */
  openedMicros = 0;
  readonly #poller: Poller;
  #token = -1;
  #interest: number = Interest.NONE;
  #isHushed = false;
  #isOwing = false;
  /** The bit that asks for zero-copy completions, once there are any. */
  #completions: number = Interest.NONE;
  #remote: PackedAddress | null;
  #local: PackedAddress | null;

  /** One that nobody watches yet. */
  constructor(poller: Poller, io: Transport, fd: number, { local, remote }: EndpointAddresses) {
    this.#poller = poller;
    this.io = io;
    this.fd = fd;
    this.#local = local;
    this.#remote = remote;
  }

  /** Begins to watch, for reading. */
  watch(watcher: Watcher): void {
    this.#register(watcher);
    this.serial = ++counts.connections.opened;
    this.openedMicros = this.#poller.clockMicros;
  }

  #register(watcher: Watcher): void {
    this.#interest = Interest.READ | this.#completions;
    this.#token = this.io.watch(this.#poller, watcher, this.#interest);
    counts.connections.activeCount += 1;
  }

  #unregister(): void {
    this.io.unwatch(this.#poller, this.#token, this.fd);
    this.#token = -1;
    counts.connections.activeCount -= 1;
  }

  /** From now on zero-copy completions are reported as well. */
  watchCompletions(): void {
    this.#completions = Interest.COMPLETIONS;
    this.#interest |= Interest.COMPLETIONS;
    if (this.#token >= 0) this.io.modify(this.#poller, this.#token, this.fd, this.#interest);
  }

  /** Whether somebody watches. */
  get isWatched(): boolean {
    return this.#token >= 0;
  }

  /** Stops watching for a while: somebody else watches the descriptor. */
  lend(): void {
    this.#unregister();
  }

  /** Watches again, over another transport. */
  takeBack(watcher: Watcher, io: Transport): void {
    this.io = io;
    this.#register(watcher);
  }

  /** Tells somebody else of its events from now on, if it is watched. */
  rewatch(watcher: Watcher): void {
    if (this.#token >= 0) this.io.rewatch(this.#poller, this.#token, watcher);
  }

  /**
   * Sets what the poller reports from now on. Who waits for room owes bytes; others may owe some that
   * have not been tried.
   */
  want(read: boolean, write: boolean, isOwing = write): void {
    if (this.#token < 0) return;
    this.owe(isOwing);
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
    this.io.resetOnClose(this.fd, isOwing);
  }

  /** Whether that was another interest. */
  #modify(interest: number): boolean {
    if (this.#completions !== 0) interest = (interest | this.#completions) >>> 0;
    if (interest === this.#interest) return false;
    this.#interest = interest;
    try {
      this.io.modify(this.#poller, this.#token, this.fd, interest);
    } catch (error) {
      this.onUnwatchable(error);
    }
    return true;
  }

  /** The poller cannot report what is wanted. */
  protected onUnwatchable(error: unknown): void {
    throw error;
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
    return this.#remote ??= this.io.name(this.fd, 1);
  }

  /** The address of this end of the descriptor. */
  get nearAddress(): StreamAddress {
    return unpackAddress(this.#local ??= this.io.name(this.fd, 0));
  }

  /** The address of the other end of the descriptor. */
  get farAddress(): StreamAddress {
    return unpackAddress(this.peer);
  }

  /** Its proxy, and what that has said; null where there is none. */
  get proxy(): ProxyInfo | null {
    return proxyOf(this);
  }

  /** The address of this end: the one that the client of a proxy has connected to. */
  get localAddress(): StreamAddress {
    return clientAddress(this.proxy, "destination") ?? this.nearAddress;
  }

  /** The address of the other end: of the client, behind a proxy. */
  get remoteAddress(): StreamAddress {
    return clientAddress(this.proxy, "source") ?? this.farAddress;
  }

  /** Bytes that are there to be received. What is no socket may not say. */
  get unreadBytes(): number {
    return this.isOpen ? this.io.unreadBytes(this.fd) : 0;
  }

  /**
   * Bytes that the kernel has and the peer did not take; to another socket of this machine, the
   * memory of what that has not read. Only a fall of it means something.
   */
  get untakenBytes(): number {
    return this.isOpen ? this.io.unackedBytes(this.fd) : 0;
  }

  /**
   * Ends our side of the stream. Null, or why the peer will not hear of it. Until there is room for
   * what tells the peer, the side has not ended.
   */
  shutdownWrite(): NetpollError | null {
    const code = this.io.shutdownWrite(this.fd);
    this.isEndBlocked = isNotNow(code);
    this.isWriteEnded = !this.isEndBlocked;
    return code < 0 && this.isWriteEnded ? this.io.error(this.fd, "end the stream", -code) : null;
  }

  /** Its family of addresses; 0 for what is no connected socket. */
  get #family(): number {
    const { peer } = this;
    return typeof peer === "number" ? Family.IPV4 : peer[0]!;
  }

  /** Whether its sides end one by one, as those of a connected socket do. */
  get isSocket(): boolean {
    return !this.io.isDescriptor || this.#family !== 0;
  }

  /** Bytes that the peer has not acknowledged; our end counts as one. */
  get #unacked(): number {
    if (!this.io.isDescriptor) return this.io.unackedBytes(this.fd);
    const family = this.#family;
    // Bytes that another socket of this machine has not read yet are there all the same.
    if (family !== Family.IPV4 && family !== Family.IPV6) return 0;
    return this.io.unackedBytes(this.fd);
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
    return this.io.disown(this.fd);
  }

  /**
   * Stops watching, and notes the addresses: they are known afterwards, too. The descriptor, still
   * open.
   */
  release(): number {
    const { fd } = this;
    this.#local ??= this.io.name(this.fd, 0);
    this.#remote ??= this.io.name(this.fd, 1);
    if (this.#token >= 0) this.#unregister();
    this.fd = -1;
    this.isOpen = false;
    return fd;
  }
}

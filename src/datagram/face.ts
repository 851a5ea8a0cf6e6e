/**
 * A datagram socket as its user holds it: nothing of the inside can be reached.
 */
import { CLOSE_TIMEOUT_MS } from "../core/limits.ts";
import { ignore, rejected } from "../core/promises.ts";
import { showAs } from "../core/inspect.ts";
import { checkOptions, checkSignal, checkTimeout, type Known } from "../core/options.ts";
import { describeAddress, Family, type PackedAddress, type UdpAddress } from "../net/address.ts";
import type {
  DatagramCloseOptions,
  DatagramCloseResult,
  Datagrams,
  DatagramSocket,
  DatagramWaitOptions,
  DatagramWriteOptions,
} from "./contract.ts";
import type { DatagramCore } from "./core.ts";
import { checkDestination } from "./destinations.ts";
import { type GroupOptions, joinGroup, leaveGroup } from "./groups.ts";
import { type DatagramMetrics, datagramMetrics } from "./metrics.ts";
import { checkPeer, describePeer } from "./peer.ts";
import type { Writing } from "./writing.ts";

const WAIT_OPTIONS: Known<DatagramWaitOptions> = { signal: 1 };
const CLOSE_OPTIONS: Known<DatagramCloseOptions> = { timeoutMs: 1 };

function signalOf(of: string, options: DatagramWaitOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  checkOptions(of, options, WAIT_OPTIONS);
  checkSignal(of, options.signal);
  return options.signal;
}

/** {@linkcode DatagramSocket}. */
export class UserDatagramSocket implements DatagramSocket {
  readonly #core: DatagramCore;

  /** Over its inside. */
  constructor(core: DatagramCore) {
    this.#core = core;
  }

  get fd(): number {
    return this.#core.fd;
  }

  get localAddress(): UdpAddress {
    return this.#core.localAddress;
  }

  get remoteAddress(): UdpAddress | null {
    return this.#core.remoteAddress;
  }

  // ---- receiving --------------------------------------------------------------------------------

  wait(options?: DatagramWaitOptions): Promise<void> {
    const core = this.#core;
    const signal = signalOf("wait", options);
    if (core.hasHandler) {
      throw new TypeError("Cannot wait: the datagrams of this socket go to its handler");
    }
    return core.isOpen ? core.wait(signal) : Promise.reject(core.closedError());
  }

  get datagrams(): Datagrams {
    return this.#core.receiving.datagrams;
  }

  release(): void {
    this.#core.receiving.release();
  }

  pauseRead(): void {
    this.#core.isReadPaused = true;
    this.#core.want();
  }

  resumeRead(): void {
    this.#core.resumeRead();
  }

  get isReadPaused(): boolean {
    return this.#core.isReadPaused;
  }

  // ---- writing ----------------------------------------------------------------------------------

  write(bytes: Uint8Array, options?: DatagramWriteOptions): boolean {
    return this.#connected().write(null, bytes, options);
  }

  writeTo(peer: PackedAddress, bytes: Uint8Array, options?: DatagramWriteOptions): boolean {
    return this.#toPeer(peer).write(peer, bytes, options);
  }

  mallocTo(peer: PackedAddress | null, count: number): Uint8Array | null {
    return this.#writingTo(peer).malloc(peer, count);
  }

  mallocAck(count: number): void {
    this.#open().writing.mallocAck(count);
  }

  writeTrain(peer: PackedAddress | null, bytes: Uint8Array, segmentBytes: number): number {
    return this.#writingTo(peer).train(peer, bytes, segmentBytes);
  }

  #open(): DatagramCore {
    if (!this.#core.isOpen) throw this.#core.closedError();
    return this.#core;
  }

  /** The way out to a peer, or (null) to the one of a connected socket. */
  #writingTo(peer: PackedAddress | null): Writing {
    return peer === null ? this.#connected() : this.#toPeer(peer);
  }

  /** The way out of a connected socket. */
  #connected(): Writing {
    const core = this.#open();
    if (core.remoteAddress !== null) return core.joined;
    throw new TypeError("Cannot write without a peer: the socket is not connected; use writeTo");
  }

  /** The way out of one that is not connected, to a peer that the program may reach. */
  #toPeer(peer: PackedAddress): Writing {
    const core = this.#open();
    checkPeer(peer);
    if (core.remoteAddress !== null) {
      throw new TypeError(
        `Cannot write to ${describePeer(peer)}: the socket is connected to ${
          describeAddress(core.remoteAddress)
        }; use write`,
      );
    }
    if (!core.speaks(peer)) {
      const which = core.family === Family.IPV4 ? "IPv4" : "IPv6 alone (v6Only)";
      throw new TypeError(`Cannot write to ${describePeer(peer)}: the socket is one of ${which}`);
    }
    checkDestination(peer);
    return core.joined;
  }

  flush(options?: DatagramWaitOptions): Promise<void> {
    const core = this.#core;
    const signal = signalOf("flush", options);
    if (signal?.aborted) return rejected(signal.reason);
    return core.isOpen ? core.flush(signal) : rejected(core.closedError());
  }

  get queuedCount(): number {
    return this.#core.queuedCount;
  }

  get queuedBytes(): number {
    return this.#core.queuedBytes;
  }

  get isWritable(): boolean {
    return this.#core.isWritable;
  }

  joinGroup(group: string, options: GroupOptions = {}): void {
    const { fd, family } = this.#open();
    joinGroup(fd, family, group, options);
  }

  leaveGroup(group: string, options: GroupOptions = {}): void {
    const { fd, family } = this.#open();
    leaveGroup(fd, family, group, options);
  }

  metrics(): DatagramMetrics {
    return datagramMetrics(this.#core);
  }

  ref(): void {
    this.#core.ref();
  }

  unref(): void {
    this.#core.unref();
  }

  // ---- the end ----------------------------------------------------------------------------------

  close(options: DatagramCloseOptions = {}): Promise<DatagramCloseResult> {
    checkOptions("close", options, CLOSE_OPTIONS);
    const { timeoutMs } = options;
    if (timeoutMs !== undefined) checkTimeout("timeoutMs", timeoutMs);
    return this.#core.close(timeoutMs ?? CLOSE_TIMEOUT_MS);
  }

  get closed(): Promise<void> {
    return this.#core.closed;
  }

  [Symbol.dispose](): void {
    this.#core.close(0).catch(ignore);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#core.close(CLOSE_TIMEOUT_MS);
  }
}

showAs(UserDatagramSocket.prototype, "DatagramSocket", [
  "fd",
  "localAddress",
  "remoteAddress",
  "queuedCount",
]);

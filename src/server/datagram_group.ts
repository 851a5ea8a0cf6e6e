/**
 * The datagram sockets of a cluster: a group with one address, a socket for each poller.
 *
 * The kernel sends a peer to a socket by a hash over the group, so that a socket more or less moves
 * peers. The cluster therefore opens all of them, in order, and keeps them until it shuts down: what
 * comes for a Worker that has died waits for its successor.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { DATAGRAM_BYTES_MAX } from "../core/limits.ts";
import { checkNumber, type Known, readOptions } from "../core/options.ts";
import { nameOf, openBound, openSibling } from "../datagram/create.ts";
import { checkKernelOptions } from "../datagram/kernel_options.ts";
import {
  DATAGRAM_OPTIONS,
  type DatagramCallbacks,
  type DatagramOptions,
  type DatagramSettings,
  datagramSettings,
} from "../datagram/options.ts";
import { udpOf } from "../datagram/peer.ts";
import { type DatagramNetwork, describeAddress, type UdpAddress } from "../net/address.ts";
import { type AddressLike, writtenHostPort } from "../net/written.ts";

/** The options of {@linkcode Cluster.bindDatagram}. */
export interface ClusterDatagramOptions
  extends Omit<DatagramOptions, keyof DatagramCallbacks | "reusePort"> {
  /**
   * Chooses the poller by the byte at this offset of each datagram, modulo `pollerCount`, in place of
   * the addresses: for protocols whose peers move, and whose first bytes name the connection (QUIC).
   * A shorter datagram goes to poller 0.
   */
  steerOffset?: number;
}

const { onDatagram: _1, onDatagrams: _2, onError: _3, reusePort: _4, ...OPTIONS } =
  DATAGRAM_OPTIONS;
const CLUSTER_DATAGRAM_OPTIONS: Known<ClusterDatagramOptions> = { ...OPTIONS, steerOffset: 1 };

/** The sockets of a group. */
export class DatagramGroup {
  /** The settings that each Worker gives its socket. */
  readonly settings: DatagramSettings;
  /** Their address. */
  readonly address: UdpAddress;
  readonly #fds: number[] = [];

  /**
   * Opens one for each poller.
   *
   * @throws {Error} As `createDatagramSocket` does.
   */
  constructor(
    network: DatagramNetwork,
    address: AddressLike,
    options: ClusterDatagramOptions,
    pollerCount: number,
  ) {
    const { steerOffset, ...read } = readOptions(
      "Cluster.bindDatagram",
      options,
      CLUSTER_DATAGRAM_OPTIONS,
    );
    if (steerOffset !== undefined) {
      checkNumber("steerOffset", steerOffset, 0, DATAGRAM_BYTES_MAX[4] - 1);
    }
    this.settings = datagramSettings(read);
    checkKernelOptions(read);
    const shared = { ...read, reusePort: true };
    try {
      const first = openBound(network, writtenHostPort(address), shared);
      this.#fds.push(first);
      while (this.#fds.length < pollerCount) this.#fds.push(openSibling(first, shared));
      this.address = udpOf(nameOf(first));
      if (steerOffset !== undefined) {
        const subject = describeAddress(this.address);
        check("steer the datagrams of", native.steer(first, steerOffset, pollerCount), subject);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The descriptor of a poller. It stays the group's. */
  fdOf(index: number): number {
    return this.#fds[index]!;
  }

  /** Closes all of them. */
  close(): void {
    for (const fd of this.#fds.splice(0)) native.close(fd);
  }
}

/**
 * The datagram sockets of a cluster: a group with one address, a socket for each poller.
 *
 * The kernel sends a peer to a socket by a hash over the group, so that a socket more or less moves
 * peers. The cluster therefore opens all of them, in order, and keeps them until it shuts down: what
 * comes for a Worker that has died waits for its successor.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { type Known, readOptions } from "../core/options.ts";
import { openBound, openSibling } from "../datagram/create.ts";
import { nameOf } from "../datagram/open.ts";
import { checkKernelOptions, takeNoTrains } from "../datagram/kernel_options.ts";
import {
  DATAGRAM_OPTIONS,
  type DatagramCallbacks,
  type DatagramOptions,
  type DatagramSettings,
  datagramSettings,
} from "../datagram/options.ts";
import { udpOf } from "../datagram/peer.ts";
import { type DatagramNetwork, describeAddress, type UdpAddress } from "../net/address.ts";
import { Option, setOption } from "../net/socket.ts";
import { type AddressLike, writtenHostPort } from "../net/written.ts";
import { type SteerRange, steerRange } from "./steering.ts";

/**
 * The options of {@linkcode Cluster.bindDatagram}. There is no `idleTimeoutMs`: a poller without a socket
 * would leave its peers without an answer.
 */
export interface ClusterDatagramOptions
  extends Omit<DatagramOptions, keyof DatagramCallbacks | "reusePort" | "idleTimeoutMs"> {
  /**
   * Chooses the poller by the bytes of each datagram from this offset on, in place of the addresses:
   * for protocols whose peers move, and whose datagrams name their connection (QUIC). A datagram that
   * ends before the range does goes to poller 0.
   */
  steerOffset?: number;
  /**
   * The length of the range, 1 to 20 bytes. One byte is taken modulo `pollerCount`. More are hashed,
   * so that any bytes of them spread: {@linkcode steeredIndex} tells where they lead. 1 unless given.
   */
  steerLengthBytes?: number;
}

const {
  onDatagram: _1,
  onDatagrams: _2,
  onError: _3,
  reusePort: _4,
  idleTimeoutMs: _5,
  ...OPTIONS
} = DATAGRAM_OPTIONS;
const CLUSTER_DATAGRAM_OPTIONS: Known<ClusterDatagramOptions> = {
  ...OPTIONS,
  steerOffset: 1,
  steerLengthBytes: 1,
};

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
    const { steerOffset, steerLengthBytes, ...read } = readOptions(
      "Cluster.bindDatagram",
      options,
      CLUSTER_DATAGRAM_OPTIONS,
    );
    const range = steerRange(steerOffset, steerLengthBytes);
    this.settings = datagramSettings(read);
    checkKernelOptions(read);
    try {
      // Bound alone: another group at this address would be one with this, and take peers away from it.
      const first = openBound(network, writtenHostPort(address), read);
      this.#fds.push(first);
      this.address = udpOf(nameOf(first));
      if (pollerCount > 1) this.#share(read, pollerCount, range);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Opens the others. From now on the kernel chooses among them. */
  #share(options: DatagramOptions, pollerCount: number, range: SteerRange | null): void {
    const [first] = this.#fds as [number];
    setOption(first, Option.REUSE_PORT, 1);
    while (this.#fds.length < pollerCount) {
      this.#fds.push(openSibling(first, { ...options, reusePort: true }));
    }
    if (range !== null) this.#steer(range);
  }

  #steer({ offset, lengthBytes }: SteerRange): void {
    const code = native.steer(this.#fds[0]!, offset, lengthBytes, this.#fds.length);
    check("steer the datagrams of", code, describeAddress(this.address));
    // The kernel would make one train of the datagrams of one address, whatever connections they name.
    for (const fd of this.#fds) takeNoTrains(fd);
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

/**
 * Datagram sockets that are connected to one peer.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { NetpollError } from "../core/errors.ts";
import { checkSignal, type Known, readOptions } from "../core/options.ts";
import { withSignal } from "../core/signal.ts";
import { type DatagramNetwork, udpAddress } from "../net/address.ts";
import { bindLocal, localRaw, locate, resolve } from "../net/look_up.ts";
import { connect, type Origin } from "../net/permitted.ts";
import { type AddressLike, givenDatagram } from "../net/written.ts";
import type { DatagramSocket } from "./contract.ts";
import { checkNetwork } from "./create.ts";
import { checkKernelOptions } from "./kernel_options.ts";
import { datagramsOver, openSocket } from "./open.ts";
import { DATAGRAM_OPTIONS, type DatagramOptions, datagramSettings } from "./options.ts";

/** The options of {@linkcode dialDatagram}. */
export interface DialDatagramOptions extends DatagramOptions {
  /** Ends the look-up of a name when it is aborted, with the signal's reason. */
  signal?: AbortSignal;
  /**
   * The address of this end: "host:port", or an address, with a numeric host; port 0 lets the kernel
   * choose. Deno's `--allow-net` has to grant it, too.
   */
  localAddress?: AddressLike;
}

const DIAL_DATAGRAM_OPTIONS: Known<DialDatagramOptions> = {
  ...DATAGRAM_OPTIONS,
  signal: 1,
  localAddress: 1,
};

/** A socket that is connected to a raw address. */
function open(
  raw: Uint32Array,
  origin: Origin,
  local: Uint32Array | null,
  options: DialDatagramOptions,
): number {
  const { reportUnreachable = true } = options;
  return openSocket(raw, { ...options, reportUnreachable }, (fd, subject) => {
    if (local !== null) bindLocal(fd, local);
    check("connect", connect(fd, raw, origin), `to ${subject}`);
  });
}

/**
 * Opens a socket for datagrams to one peer, and from it. A name is looked up, here only: of its
 * addresses the first that there is a way to is taken. Nothing is sent yet, so nobody knows whether
 * the peer is there.
 *
 * With `onDatagram` or `onDatagrams` what comes goes to that handler; without, `wait` takes it. Where
 * nobody listens, `wait` rejects with a {@linkcode SystemError} (`"ECONNREFUSED"`) once something was
 * sent, or `onError` hears of it; the socket can go on.
 *
 * Under Deno the program needs `--allow-net` for the address.
 *
 * @throws {TypeError} The network, the address or an option is malformed.
 * @throws {RangeError} A number is out of range.
 * @throws {SystemError} There is no way to the address.
 * @throws {ResolveError} The host name is unknown.
 * @throws {Error} Deno's `NotCapable`.
 *
 * @example A question and its answer
 * ```ts
 * import { createDatagramSocket, dialDatagram } from "@netpoll/netpoll/udp";
 *
 * await using server = createDatagramSocket("udp4", "127.0.0.1:0", {
 *   onDatagram: (datagram) => void datagram.reply(datagram.bytes),
 * });
 * const at = `127.0.0.1:${server.localAddress.port}`;
 * await using client = await dialDatagram("udp4", at, { readTimeoutMs: 1000 });
 * client.write(Uint8Array.of(1, 2, 3));
 * await client.flush();
 * await client.wait();
 * console.log(client.datagrams.at(0).length); // 3
 * client.release();
 * ```
 */
export function dialDatagram(
  network: DatagramNetwork,
  address: AddressLike,
  options?: DialDatagramOptions,
): Promise<DatagramSocket>;
/** Does so with an address that says its network itself, such as `datagram.remoteAddress`. */
export function dialDatagram(
  address: AddressLike,
  options?: DialDatagramOptions,
): Promise<DatagramSocket>;
export async function dialDatagram(
  first: DatagramNetwork | AddressLike,
  second?: AddressLike | DialDatagramOptions,
  third?: DialDatagramOptions,
): Promise<DatagramSocket> {
  const { network, text: address, options } = givenDatagram(first, second, third);
  const read = readOptions("dialDatagram", options, DIAL_DATAGRAM_OPTIONS);
  checkNetwork("dial", network);
  checkSignal("dialDatagram", read.signal);
  const settings = datagramSettings(read);
  checkKernelOptions(read);
  read.signal?.throwIfAborted();
  const local = localRaw(read.localAddress);
  const { found, origin } = locate(network, address);
  const raws = "network" in found ? await withSignal(resolve(found), read.signal) : found;
  let refusal: unknown = new NetpollError(`Cannot dial ${address}: it has no address`);
  for (const raw of raws) {
    let fd = -1;
    try {
      fd = open(raw, origin, local, read);
      return datagramsOver(fd, read, settings, udpAddress(raw));
    } catch (error) {
      if (fd >= 0) native.close(fd);
      refusal = error;
    }
  }
  throw refusal;
}

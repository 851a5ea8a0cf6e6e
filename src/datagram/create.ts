/**
 * Datagram sockets that are bound to an address of this machine.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { readOptions, show } from "../core/options.ts";
import { type DatagramNetwork, Family, isWildcard, rawAddress } from "../net/address.ts";
import { bindFirst, type Binding } from "../net/binding.ts";
import { refuseSecond } from "../net/descriptor.ts";
import { bind } from "../net/permitted.ts";
import { getOption, Option } from "../net/socket.ts";
import { type AddressLike, givenDatagram } from "../net/written.ts";
import type { DatagramSocket } from "./contract.ts";
import {
  DATAGRAM_FROM_FD_OPTIONS,
  type DatagramFromFdOptions,
  giveBack,
  takeBound,
} from "./inherited.ts";
import {
  checkKernelOptions,
  type DatagramSocketOptions,
  wantLocalAddresses,
} from "./kernel_options.ts";
import { datagramsOver, openSocket } from "./open.ts";
import { DATAGRAM_OPTIONS, type DatagramOptions, datagramSettings } from "./options.ts";

/** Throws unless it is a network of datagrams. */
export function checkNetwork(action: string, network: DatagramNetwork): void {
  if (network === "udp" || network === "udp4" || network === "udp6") return;
  throw new TypeError(
    `Cannot ${action} the network ${show(network)}: it is "udp", "udp4" or "udp6"`,
  );
}

/** A bound socket for the first raw address that can be had. */
export function openBound(
  network: DatagramNetwork,
  address: string,
  options: DatagramSocketOptions,
): number {
  checkNetwork("bind", network);
  return bindFirst(network, address, options.v6Only, (raw, way) => open(raw, options, way));
}

/** Another socket with the address of one that has `reusePort`. */
export function openSibling(fd: number, options: DatagramSocketOptions): number {
  const raw = rawAddress();
  check("learn the address of a socket", native.name(fd, 0, raw));
  const v6Only = raw[0] === Family.IPV6 && getOption(fd, Option.V6_ONLY) !== 0;
  return open(raw, options, { v6Only, origin: "stands for what was granted" });
}

/** A socket over somebody else's descriptor, which is still the caller's when this throws. */
function inherit(options: DatagramFromFdOptions): DatagramSocket {
  const read = readOptions("createDatagramSocket", options, DATAGRAM_FROM_FD_OPTIONS);
  const settings = datagramSettings(read);
  checkKernelOptions(read);
  const fd = takeBound(read.fd, read);
  try {
    return datagramsOver(fd, read, settings);
  } catch (error) {
    giveBack(fd, read.fd);
    throw error;
  }
}

/** A bound socket for one raw address. */
function open(
  raw: Uint32Array,
  options: DatagramSocketOptions,
  { v6Only, origin }: Binding,
): number {
  return openSocket(raw, { ...options, v6Only }, (fd, subject) => {
    // Bound to one address, that is where everything is sent to, but what groups get.
    if (isWildcard(raw)) wantLocalAddresses(fd, raw[0]!);
    check("bind", bind(fd, raw, origin), subject);
  });
}

/**
 * Opens a socket for datagrams that is bound to an address, before it returns.
 *
 * `address` is as for `createListener`: `"host:port"`, `"[::1]:port"` or `":port"`; port 0 lets the
 * kernel choose. With `onDatagram` or `onDatagrams` what comes goes to that handler; without, `wait`
 * takes it.
 *
 * Under Deno the program needs `--allow-net` for the address, and for each destination of `writeTo`;
 * an answer needs nothing more.
 *
 * @throws {TypeError} The network, the address or an option is malformed.
 * @throws {RangeError} A number is out of range.
 * @throws {SystemError} The kernel refuses: `code` is `"EADDRINUSE"`, `"EACCES"`, …
 * @throws {ResolveError} The host name is unknown.
 * @throws {Error} Deno's `NotCapable`: `Deno.listenDatagram` would not be permitted that address.
 *
 * @example An echo
 * ```ts
 * import { createDatagramSocket, dialDatagram } from "@netpoll/netpoll/udp";
 *
 * await using server = createDatagramSocket("udp", "127.0.0.1:0", {
 *   onDatagram(datagram) {
 *     datagram.reply(datagram.bytes); // leaves with all others of this batch
 *   },
 * });
 *
 * await using client = await dialDatagram("udp", `127.0.0.1:${server.localAddress.port}`);
 * client.write(new TextEncoder().encode("hello"));
 * await client.flush();
 * await client.wait();
 * for (const datagram of client.datagrams) {
 *   console.log(new TextDecoder().decode(datagram.bytes)); // "hello"
 * }
 * client.release();
 * ```
 */
export function createDatagramSocket(
  network: DatagramNetwork,
  address: AddressLike,
  options?: DatagramOptions,
): DatagramSocket;
/** Binds an address that says its network itself, such as another socket's. */
export function createDatagramSocket(
  address: AddressLike,
  options?: DatagramOptions,
): DatagramSocket;
/**
 * Takes over a descriptor that is bound already: of systemd ({@linkcode listenersFromSystemd}), of a
 * parent, of another process ({@linkcode receiveDescriptors}).
 *
 * The socket owns the descriptor from now on, and closes it; 0, 1 and 2 stay open, and a duplicate is
 * used. Others may have the same socket: each datagram goes to whoever receives first, and what is
 * not received waits for the next of them (docs/RESTART.md). The socket is made non-blocking, which
 * the others see as well. Trains come only if they did before: whoever receives there next may not
 * know them. After an error the descriptor is the caller's.
 *
 * No permission is asked for: who has a descriptor may use it. Destinations of `writeTo` are asked
 * about as ever.
 *
 * @throws {TypeError} It is no whole number from 0 to 2^31 - 1, or no UDP socket that is bound and not
 * connected: the message says what it is. Or a datagram socket of this thread has it.
 * @throws {RangeError} A number is out of range.
 * @throws {SystemError} It is not open (`code` is `"EBADF"`), or the kernel refuses an option.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { receiveDescriptors, sendDescriptors } from "@netpoll/netpoll/operations";
 * import { createDatagramSocket } from "@netpoll/netpoll/udp";
 *
 * const [a, b] = socketPair();
 * using first = createDatagramSocket("udp", "127.0.0.1:0");
 * await sendDescriptors(a, [first.fd]);
 * const [fd] = await receiveDescriptors(b);
 * using second = createDatagramSocket({ fd: fd! }); // of the same socket
 * await a.close();
 * await b.close();
 * ```
 */
export function createDatagramSocket(from: DatagramFromFdOptions): DatagramSocket;
export function createDatagramSocket(
  first: DatagramNetwork | AddressLike | DatagramFromFdOptions,
  second?: AddressLike | DatagramOptions,
  third?: DatagramOptions,
): DatagramSocket {
  if (typeof first === "object" && first !== null && "fd" in first) {
    refuseSecond("createDatagramSocket", second);
    return inherit(first);
  }
  const { network, text: address, options } = givenDatagram(first, second, third);
  const read = readOptions("createDatagramSocket", options, DATAGRAM_OPTIONS);
  const settings = datagramSettings(read);
  checkKernelOptions(read);
  const fd = openBound(network, address, read);
  try {
    return datagramsOver(fd, read, settings);
  } catch (error) {
    native.close(fd);
    throw error;
  }
}

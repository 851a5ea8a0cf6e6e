/**
 * Datagram sockets that are bound to an address of this machine.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { placed } from "../core/place.ts";
import { readOptions, show } from "../core/options.ts";
import {
  type DatagramNetwork,
  describeAddress,
  Family,
  isWildcard,
  packAddress,
  type PackedAddress,
  rawAddress,
  udpAddress,
} from "../net/address.ts";
import { bindFirst, type Binding } from "../net/binding.ts";
import { bind } from "../net/permitted.ts";
import { getOption, Option, setOption } from "../net/socket.ts";
import { type AddressLike, givenDatagram } from "../net/written.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import type { DatagramSocket } from "./contract.ts";
import { DatagramCore } from "./core.ts";
import { UserDatagramSocket } from "./face.ts";
import {
  applyKernelOptions,
  checkKernelOptions,
  type DatagramSocketOptions,
  wantLocalAddresses,
} from "./kernel_options.ts";
import {
  DATAGRAM_OPTIONS,
  type DatagramCallbacks,
  type DatagramOptions,
  type DatagramSettings,
  datagramSettings,
} from "./options.ts";

/** Throws unless it is a network of datagrams. */
export function checkNetwork(action: string, network: DatagramNetwork): void {
  if (network === "udp" || network === "udp4" || network === "udp6") return;
  throw new TypeError(
    `Cannot ${action} the network ${show(network)}: it is "udp", "udp4" or "udp6"`,
  );
}

const scratch = rawAddress();

/** The address of a socket. */
export function nameOf(fd: number): PackedAddress {
  check("learn the address of a socket", native.name(fd, 0, scratch));
  return packAddress(scratch);
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

/** A socket over a bound descriptor, which is still the caller's when this throws. */
export function datagramsOver(
  fd: number,
  callbacks: DatagramCallbacks,
  settings: DatagramSettings,
): DatagramSocket {
  const local = nameOf(fd);
  const family = typeof local === "number" ? Family.IPV4 : Family.IPV6;
  const core = new DatagramCore(fd, {
    poller: threadPoller(),
    callbacks,
    settings,
    family,
    isIPv6Only: family === Family.IPV6 && getOption(fd, Option.V6_ONLY) !== 0,
    local,
    remoteAddress: null,
  });
  return new UserDatagramSocket(core);
}

/** A bound socket for one raw address. The descriptor is closed when that fails. */
function open(
  raw: Uint32Array,
  options: DatagramSocketOptions,
  { v6Only, origin }: Binding,
): number {
  const family = raw[0]!;
  const address = udpAddress(raw);
  const subject = describeAddress(address);
  let fd = -1;
  try {
    fd = check("open a socket for", native.datagramSocket(family), subject);
    if (family === Family.IPV6) setOption(fd, Option.V6_ONLY, v6Only ? 1 : 0);
    applyKernelOptions(fd, family, options, options.reportUnreachable === true);
    // Bound to one address, that is where everything is sent to, but what groups get.
    if (isWildcard(raw)) wantLocalAddresses(fd, family);
    check("bind", bind(fd, raw, origin), subject);
    return fd;
  } catch (error) {
    if (fd >= 0) native.close(fd);
    throw placed(error, address);
  }
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
export function createDatagramSocket(
  first: DatagramNetwork | AddressLike,
  second?: AddressLike | DatagramOptions,
  third?: DatagramOptions,
): DatagramSocket {
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

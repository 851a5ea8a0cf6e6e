/**
 * Datagram sockets that somebody else has bound: systemd, a parent, the process before this one.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { datagramSockets } from "../core/counts.ts";
import { type Known, show } from "../core/options.ts";
import { describeAddress, Family, isWildcard, rawAddress, udpAddress } from "../net/address.ts";
import { isDescriptor, kindOf, STANDARD_MAX } from "../net/descriptor.ts";
import { getOption, INT_MAX, Option } from "../net/socket.ts";
import { applyKernelOptions, wantLocalAddresses } from "./kernel_options.ts";
import { DATAGRAM_OPTIONS, type DatagramOptions } from "./options.ts";

const IPPROTO_UDP = 17;

/**
 * The options of `createDatagramSocket({ fd })`. What is not given is left as it is, but that the
 * socket hears no groups that others have joined, and says to which address a datagram came.
 */
export interface DatagramFromFdOptions
  extends Omit<DatagramOptions, "reusePort" | "v6Only" | "freeBind"> {
  /** The descriptor, which is the socket's from now on. */
  fd: number;
}

const { reusePort: _1, v6Only: _2, freeBind: _3, ...OPTIONS } = DATAGRAM_OPTIONS;

/** The names of {@linkcode DatagramFromFdOptions}. */
export const DATAGRAM_FROM_FD_OPTIONS: Known<DatagramFromFdOptions> = { ...OPTIONS, fd: 1 };

/** What keeps a descriptor from being a bound UDP socket, in words; null if it is one. */
function obstacle(fd: number, raw: Uint32Array): string | null {
  const kind = kindOf(fd);
  if (kind !== "a datagram socket") return `it is ${kind === "listener" ? "a listener" : kind}`;
  const family = getOption(fd, Option.DOMAIN);
  if (family === Family.UNIX) return "it is a datagram socket of Unix";
  const isUdp = getOption(fd, Option.PROTOCOL) === IPPROTO_UDP;
  if (!isUdp || (family !== Family.IPV4 && family !== Family.IPV6)) return "it is none of UDP";
  if (native.name(fd, 1, raw) >= 0) {
    return `it is connected to ${describeAddress(udpAddress(raw))}, and would hear nobody else`;
  }
  check("learn the address of a socket", native.name(fd, 0, raw));
  if (udpAddress(raw).port === 0) return "it is not bound";
  for (const socket of datagramSockets) {
    if (socket.fd === fd) return "a datagram socket of this thread has it";
  }
  return null;
}

/**
 * A bound UDP socket over somebody else's descriptor, which is ours as soon as nothing can fail any
 * more: the descriptor, or a duplicate of standard input, output or errors.
 *
 * @throws {TypeError} It is none: the message says what it is.
 * @throws {SystemError} It is not open, or the kernel refuses an option. It is the caller's still.
 */
export function takeBound(fd: number, options: DatagramFromFdOptions): number {
  const action = `Cannot take datagrams from ${isDescriptor(fd) ? `descriptor ${fd}` : show(fd)}`;
  if (!isDescriptor(fd)) {
    throw new TypeError(`${action}: a descriptor is a whole number from 0 to ${INT_MAX}`);
  }
  const raw = rawAddress();
  const why = obstacle(fd, raw);
  if (why !== null) throw new TypeError(`${action}: ${why}`);
  const family = raw[0]!;
  applyKernelOptions(fd, family, options);
  if (isWildcard(raw)) wantLocalAddresses(fd, family);
  const own = fd > STANDARD_MAX ? fd : check("duplicate a descriptor", native.dup(fd));
  try {
    check("make a descriptor non-blocking", native.adopt(own));
    return own;
  } catch (error) {
    giveBack(own, fd);
    throw error;
  }
}

/** Leaves the descriptor that was taken to the caller. */
export function giveBack(own: number, fd: number): void {
  if (own === fd) native.disown(fd);
  else native.close(own);
}

/**
 * Socket options: what can be set, and how the kernel calls it.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";

const SOL_SOCKET = 1;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;

/** A socket option: its level and number (socket(7), tcp(7), ipv6(7); the same on x64 and arm64). */
export const Option = {
  /** Bind although connections of an earlier process are still winding down. */
  REUSE_ADDRESS: [SOL_SOCKET, 2],
  /** Several sockets listen on one address. */
  REUSE_PORT: [SOL_SOCKET, 15],
  /** The error that an asynchronous operation ended with. */
  ERROR: [SOL_SOCKET, 4],
  /** What close does with unsent bytes: {on, seconds}. */
  LINGER: [SOL_SOCKET, 13],
  /** What kind of socket it is. */
  TYPE: [SOL_SOCKET, 3],
  /** Probe the peer when nothing was heard of it for long. */
  KEEP_ALIVE: [SOL_SOCKET, 9],
  /** Send small pieces at once. */
  NO_DELAY: [IPPROTO_TCP, 1],
  /** IPv6 alone, without IPv4 mapped into it. */
  V6_ONLY: [IPPROTO_IPV6, 26],
} as const;

const values = new Int32Array(2);

/**
 * Sets an option.
 *
 * @throws {SystemError} The kernel does not have it, or not for this socket.
 */
export function setOption(
  fd: number,
  option: readonly [level: number, name: number],
  value: number,
  second?: number,
): void {
  values[0] = value;
  values[1] = second ?? 0;
  const bytes = second === undefined ? 4 : 8;
  check("set a socket option", native.setsockopt(fd, option[0], option[1], values, bytes));
}

/**
 * What an option is set to.
 *
 * @throws {SystemError} The kernel does not have it, or not for this descriptor.
 */
export function getOption(fd: number, option: readonly [level: number, name: number]): number {
  check("get a socket option", native.getsockopt(fd, option[0], option[1], values, 4));
  return values[0]!;
}

/** Lets the next close reset the connection instead of ending it in order, and drop what is unsent (socket(7)). */
export function resetOnClose(fd: number): void {
  values[0] = 1;
  values[1] = 0;
  // What is no TCP socket has no reset: closing it is all there is.
  native.setsockopt(fd, Option.LINGER[0], Option.LINGER[1], values, 8);
}

/** What has gone wrong with a socket, and clears it. */
export function socketError(fd: number): SystemError {
  values[0] = 0;
  native.getsockopt(fd, Option.ERROR[0], Option.ERROR[1], values, 4);
  return new SystemError("go on with the connection", values[0] || ERRNO.EPIPE);
}

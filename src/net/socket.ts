/**
 * Socket options: what can be set, how the kernel calls it, and what it inherits.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { countSocketError } from "../core/counts.ts";
import { ERRNO } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";
import { checkNumber, type Known, readOptions } from "../core/options.ts";
import { Family } from "./address.ts";

/**
 * The probes of a connection whose peer has been silent for long (tcp(7)).
 *
 * @example
 * ```ts
 * import { createListener } from "@netpoll/netpoll";
 *
 * // A peer that is gone without a word is noticed after a minute and five probes.
 * using listener = createListener("tcp", "127.0.0.1:0", {
 *   keepAlive: { idleMs: 60_000, intervalMs: 10_000, count: 5 },
 * });
 * ```
 */
export interface KeepAliveOptions {
  /**
   * The silence before the first probe, in milliseconds; whole seconds count.
   */
  idleMs?: number;
  /** The time to wait for an answer to a probe, in milliseconds; whole seconds count. */
  intervalMs?: number;
  /** The number of probes that may go unanswered. */
  count?: number;
}

/**
 * The options of a socket. A listener's connections inherit them: one call instead of one each.
 */
export interface SocketOptions {
  /** Send small pieces at once (TCP_NODELAY). True unless given, as in netpoll. */
  noDelay?: boolean;
  /** Find out that a silent peer is gone (SO_KEEPALIVE). `true` takes the kernel's times. */
  keepAlive?: boolean | KeepAliveOptions;
  /**
   * The time that sent bytes may go unacknowledged before the connection is given up, in ms
   * (TCP_USER_TIMEOUT).
   */
  userTimeoutMs?: number;
  /** The size of the kernel's send buffer in bytes; it doubles it for its own use (SO_SNDBUF). */
  sendBufferBytes?: number;
  /** The size of the kernel's receive buffer in bytes; likewise (SO_RCVBUF). */
  receiveBufferBytes?: number;
  /** Report room to write only when fewer unsent bytes than this are queued (TCP_NOTSENT_LOWAT). */
  notSentLowWaterBytes?: number;
  /** The type of service of what is sent: DSCP and ECN bits, 0 to 255 (IP_TOS, IPV6_TCLASS). */
  typeOfService?: number;
  /** The queueing priority of what is sent, 0 to 6 (SO_PRIORITY). */
  priority?: number;
  /** The mark that routing and firewall rules see (SO_MARK); needs CAP_NET_ADMIN. */
  mark?: number;
  /** Use an address that this machine does not have, or not yet (IP_FREEBIND). */
  freeBind?: boolean;
}

/** The names of {@linkcode SocketOptions}. */
export const SOCKET_OPTIONS: Known<SocketOptions> = {
  noDelay: "boolean",
  keepAlive: 1,
  userTimeoutMs: 1,
  sendBufferBytes: 1,
  receiveBufferBytes: 1,
  notSentLowWaterBytes: 1,
  typeOfService: 1,
  priority: 1,
  mark: 1,
  freeBind: "boolean",
};
const KEEP_ALIVE: Known<KeepAliveOptions> = { idleMs: 1, intervalMs: 1, count: 1 };

const SOL_SOCKET = 1;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;

/**
 * A socket option: its level and number (socket(7), ip(7), tcp(7), ipv6(7); the same on x64 and
 * arm64).
 */
export const Option = {
  /** Bind although connections of an earlier process are still winding down. */
  REUSE_ADDRESS: [SOL_SOCKET, 2],
  /** The type of the socket. */
  TYPE: [SOL_SOCKET, 3],
  /** The error that an asynchronous operation ended with. */
  ERROR: [SOL_SOCKET, 4],
  /** SO_SNDBUF. */
  SEND_BUFFER: [SOL_SOCKET, 7],
  /** SO_RCVBUF. */
  RECEIVE_BUFFER: [SOL_SOCKET, 8],
  /** SO_KEEPALIVE. */
  KEEP_ALIVE: [SOL_SOCKET, 9],
  /** SO_PRIORITY. */
  PRIORITY: [SOL_SOCKET, 12],
  /** The fate of unsent bytes at close: {on, seconds}. */
  LINGER: [SOL_SOCKET, 13],
  /** Several sockets listen on one address. */
  REUSE_PORT: [SOL_SOCKET, 15],
  /** Of the sockets that share a port: takes away the program that chooses among them. */
  NO_STEERING: [SOL_SOCKET, 68],
  /** SO_PEERCRED: {pid, uid, gid} of whoever made or dialled the other end of a Unix socket. */
  PEER_CREDENTIALS: [SOL_SOCKET, 17],
  /** SO_ACCEPTCONN: whether it listens. */
  ACCEPTS: [SOL_SOCKET, 30],
  /** SO_MARK. */
  MARK: [SOL_SOCKET, 36],
  /** SO_PROTOCOL: the protocol, such as that of UDP. */
  PROTOCOL: [SOL_SOCKET, 38],
  /** SO_DOMAIN: the family of addresses. */
  DOMAIN: [SOL_SOCKET, 39],
  /** SO_ZEROCOPY: the socket takes MSG_ZEROCOPY. */
  ZERO_COPY: [SOL_SOCKET, 60],
  /** IP_TOS. */
  TYPE_OF_SERVICE: [IPPROTO_IP, 1],
  /** IP_FREEBIND; it serves IPv6 sockets too. */
  FREE_BIND: [IPPROTO_IP, 15],
  /** TCP_NODELAY. */
  NO_DELAY: [IPPROTO_TCP, 1],
  /** TCP_CORK. */
  CORK: [IPPROTO_TCP, 3],
  /** TCP_KEEPIDLE. */
  KEEP_IDLE: [IPPROTO_TCP, 4],
  /** TCP_KEEPINTVL. */
  KEEP_INTERVAL: [IPPROTO_TCP, 5],
  /** TCP_KEEPCNT. */
  KEEP_COUNT: [IPPROTO_TCP, 6],
  /** TCP_DEFER_ACCEPT. */
  DEFER_ACCEPT: [IPPROTO_TCP, 9],
  /** TCP_USER_TIMEOUT. */
  USER_TIMEOUT: [IPPROTO_TCP, 18],
  /** TCP_FASTOPEN: the length of the queue of a listener. */
  FAST_OPEN: [IPPROTO_TCP, 23],
  /** TCP_NOTSENT_LOWAT. */
  NOT_SENT_LOW_WATER: [IPPROTO_TCP, 25],
  /** IPv6 alone, without IPv4 mapped into it. */
  V6_ONLY: [IPPROTO_IPV6, 26],
  /** IPV6_TCLASS. */
  TRAFFIC_CLASS: [IPPROTO_IPV6, 67],
} as const;

/** The level and number of an option. */
export type OptionName = readonly [level: number, name: number];

const values = new Int32Array(2);

/**
 * Sets an option.
 *
 * @throws {SystemError} The kernel does not have it, or not for this socket, or not with this
 * value.
 */
export function setOption(fd: number, option: OptionName, value: number): void {
  values[0] = value;
  check("set a socket option", native.setsockopt(fd, option[0], option[1], values, 4));
}

/**
 * The value of an option.
 *
 * @throws {SystemError} The kernel does not have it, or not for this descriptor.
 */
export function getOption(fd: number, option: OptionName): number {
  check("get a socket option", native.getsockopt(fd, option[0], option[1], values, 4));
  return values[0]!;
}

/**
 * Lets a close reset the connection instead of ending it in order, and drop what is unsent
 * (socket(7)), or lets it end in order again. Whoever closes it: the end of the process does, too.
 * Returns whether the kernel has done so.
 */
export function resetOnClose(fd: number, isOn: boolean): boolean {
  values[0] = isOn ? 1 : 0;
  values[1] = 0;
  // A descriptor that is no TCP socket has no reset. All we can do is close it.
  return native.setsockopt(fd, Option.LINGER[0], Option.LINGER[1], values, 8) >= 0;
}

/** Cuts a connection that is closed next: whatever the kernel refuses, its peer sees no end in order. */
export function cut(fd: number): void {
  if (!resetOnClose(fd, true)) native.disconnect(fd); // which resets it at once
}

/** Lets full packets only leave from now on, or any again, and what waits at once (tcp(7)). */
export function setCork(fd: number, isOn: boolean): void {
  values[0] = isOn ? 1 : 0;
  // A descriptor that is no TCP socket has no packets.
  native.setsockopt(fd, Option.CORK[0], Option.CORK[1], values, 4);
}

/** The error number of a socket, 0 for none, and clears it: it can be read once. */
function takeError(fd: number): number {
  values[0] = 0;
  native.getsockopt(fd, Option.ERROR[0], Option.ERROR[1], values, 4);
  if (values[0] !== 0) countSocketError(values[0]);
  return values[0];
}

/** Takes the pending error of a socket. */
export function socketError(fd: number): SystemError {
  return new SystemError("go on with the connection", takeError(fd) || ERRNO.EPIPE);
}

/** Takes the pending error of a socket, if there is one: EPOLLERR may have told of completions only. */
export function socketErrorIfAny(fd: number): SystemError | null {
  const errno = takeError(fd);
  return errno === 0 ? null : new SystemError("go on with the connection", errno);
}

/** The bounds of the kernel (include/net/tcp.h, MAX_TCP_KEEPIDLE and the like). */
const KEEP_ALIVE_SECONDS_MAX = 32_767;
const KEEP_ALIVE_COUNT_MAX = 127;

/** A time of keepAlive in seconds, as the kernel counts. */
function seconds(name: "idleMs" | "intervalMs", ms: number | undefined): number {
  if (ms === undefined) return 0;
  if (ms >= 1000 && ms <= KEEP_ALIVE_SECONDS_MAX * 1000) return Math.round(ms / 1000);
  throw new RangeError(
    `Cannot set keepAlive.${name} to ${ms}: the kernel counts in seconds, 1000 to ${
      KEEP_ALIVE_SECONDS_MAX * 1000
    } ms`,
  );
}

/** The times and the count of keepAlive as the kernel wants them; 0 for what is not given. */
function readKeepAlive(options: KeepAliveOptions): [idle: number, interval: number, count: number] {
  const { idleMs, intervalMs, count } = readOptions("keepAlive", options, KEEP_ALIVE);
  return [
    seconds("idleMs", idleMs),
    seconds("intervalMs", intervalMs),
    count === undefined ? 0 : checkNumber("keepAlive.count", count, 1, KEEP_ALIVE_COUNT_MAX),
  ];
}

/**
 * Throws for times and counts that the kernel would refuse.
 *
 * @throws {RangeError} One is out of range.
 */
export function checkKeepAlive(options: boolean | KeepAliveOptions | undefined): void {
  if (options !== undefined && typeof options !== "boolean") readKeepAlive(options);
}

/**
 * Throws for options that no socket can have, before there is one.
 *
 * @throws {RangeError} One is out of range.
 */
export function checkSocketOptions(options: SocketOptions): void {
  const { typeOfService = 0, keepAlive } = options;
  checkNumber("typeOfService", typeOfService, 0, 255);
  for (const [key, , most] of NUMBERS) {
    if (options[key] !== undefined) checkNumber(key, options[key] as number, 0, most);
  }
  checkKeepAlive(keepAlive);
}

/** Sets whether, and how, a silent peer is probed. */
export function setKeepAlive(fd: number, options: boolean | KeepAliveOptions): void {
  const [idle, interval, count] = typeof options === "boolean" ? [0, 0, 0] : readKeepAlive(options);
  setOption(fd, Option.KEEP_ALIVE, options === false ? 0 : 1);
  if (idle > 0) setOption(fd, Option.KEEP_IDLE, idle);
  if (interval > 0) setOption(fd, Option.KEEP_INTERVAL, interval);
  if (count > 0) setOption(fd, Option.KEEP_COUNT, count);
}

/** The largest number that an option takes. */
export const INT_MAX = 0x7fff_ffff;

function setTypeOfService(fd: number, family: number, value: number): void {
  checkNumber("typeOfService", value, 0, 255);
  // A socket of IPv6 that also takes IPv4 has both.
  setOption(fd, Option.TYPE_OF_SERVICE, value);
  if (family === Family.IPV6) setOption(fd, Option.TRAFFIC_CLASS, value);
}

/** The options that are one number each: where they go, and the largest value. */
const NUMBERS: readonly [
  key: keyof SocketOptions,
  option: OptionName,
  most: number,
  tcpOnly: boolean,
][] = [
  ["userTimeoutMs", Option.USER_TIMEOUT, INT_MAX, true],
  ["sendBufferBytes", Option.SEND_BUFFER, INT_MAX, false],
  ["receiveBufferBytes", Option.RECEIVE_BUFFER, INT_MAX, false],
  ["notSentLowWaterBytes", Option.NOT_SENT_LOW_WATER, INT_MAX, true],
  ["priority", Option.PRIORITY, 6, false],
  ["mark", Option.MARK, INT_MAX, false],
];

/**
 * Sets what a user asked for, before the socket is bound or connected. What Unix sockets do not
 * have is passed over for them.
 *
 * @throws {RangeError} A value is out of range.
 * @throws {SystemError} The kernel refuses one.
 */
export function applyOptions(fd: number, family: number, options: SocketOptions): void {
  const isTcp = family !== Family.UNIX;
  // First, for it sets the priority as well (ip(7)).
  if (isTcp && options.typeOfService !== undefined) {
    setTypeOfService(fd, family, options.typeOfService);
  }
  for (const [key, option, most, tcpOnly] of NUMBERS) {
    const value = options[key] as number | undefined;
    if (value === undefined || (tcpOnly && !isTcp)) continue;
    setOption(fd, option, checkNumber(key, value, 0, most));
  }
  if (!isTcp) return;
  if (options.noDelay !== false) setOption(fd, Option.NO_DELAY, 1);
  if (options.keepAlive !== undefined) setKeepAlive(fd, options.keepAlive);
  if (options.freeBind) setOption(fd, Option.FREE_BIND, 1);
}

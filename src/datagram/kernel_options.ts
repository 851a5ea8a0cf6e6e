/**
 * Options of a datagram socket that the kernel keeps: how it calls them, and for which family.
 */
import { check } from "../core/check.ts";
import { checkNumber, type Known, show } from "../core/options.ts";
import { Family, interfaceNumber } from "../net/address.ts";
import { INT_MAX, Option, type OptionName, setOption } from "../net/socket.ts";
import { native } from "../../ffi/load.ts";

const SOL_SOCKET = 1;
const IPPROTO_IP = 0;
const IPPROTO_UDP = 17;
const IPPROTO_IPV6 = 41;

/** The options of a datagram socket that are the kernel's (ip(7), ipv6(7), udp(7)). */
const Name = {
  BROADCAST: [SOL_SOCKET, 6],
  TIMESTAMPS: [SOL_SOCKET, 35],
  TTL: [IPPROTO_IP, 2],
  LOCAL_ADDRESSES: [IPPROTO_IP, 8],
  PATH_MTU: [IPPROTO_IP, 10],
  ERRORS: [IPPROTO_IP, 11],
  ECN: [IPPROTO_IP, 13],
  MULTICAST_INTERFACE: [IPPROTO_IP, 32],
  MULTICAST_TTL: [IPPROTO_IP, 33],
  MULTICAST_LOOPBACK: [IPPROTO_IP, 34],
  MULTICAST_ALL: [IPPROTO_IP, 49],
  TTL_6: [IPPROTO_IPV6, 16],
  MULTICAST_INTERFACE_6: [IPPROTO_IPV6, 17],
  MULTICAST_TTL_6: [IPPROTO_IPV6, 18],
  MULTICAST_LOOPBACK_6: [IPPROTO_IPV6, 19],
  PATH_MTU_6: [IPPROTO_IPV6, 23],
  ERRORS_6: [IPPROTO_IPV6, 25],
  MULTICAST_ALL_6: [IPPROTO_IPV6, 29],
  LOCAL_ADDRESSES_6: [IPPROTO_IPV6, 49],
  ECN_6: [IPPROTO_IPV6, 66],
  SEND_TRAINS: [IPPROTO_UDP, 103],
  RECEIVE_TRAINS: [IPPROTO_UDP, 104],
} as const;

/** Whether what does not fit the path is cut into fragments (ip(7), IP_MTU_DISCOVER). */
export type PathMtu = "system" | "probe" | "fixed";

const PATH_MTU: Readonly<Record<PathMtu, number>> = { system: 1, probe: 3, fixed: 2 };

/** Options that the kernel keeps. */
export interface DatagramSocketOptions {
  /**
   * The size of the kernel's receive buffer in bytes; it doubles it for its own use, and gives no more
   * than `net.core.rmem_max` (SO_RCVBUF). `metrics().received.bufferedBytesMax` is what there is.
   */
  receiveBufferBytes?: number;
  /** The size of the kernel's send buffer in bytes; likewise (SO_SNDBUF). */
  sendBufferBytes?: number;
  /** The number of routers that a datagram may pass, 1 to 255 (IP_TTL, IPV6_UNICAST_HOPS). */
  ttl?: number;
  /** The type of service of what is sent: DSCP and ECN bits, 0 to 255 (IP_TOS, IPV6_TCLASS). */
  typeOfService?: number;
  /** The queueing priority of what is sent, 0 to 6 (SO_PRIORITY). */
  priority?: number;
  /** The mark that routing and firewall rules see (SO_MARK); needs CAP_NET_ADMIN. */
  mark?: number;
  /** Use an address that this machine does not have, or not yet (IP_FREEBIND). */
  freeBind?: boolean;
  /** Several sockets share the address, and what comes (SO_REUSEPORT). */
  reusePort?: boolean;
  /** No IPv4 on an IPv6 socket. True for "udp6" unless given. */
  v6Only?: boolean;
  /** Whether broadcast addresses may be sent to (SO_BROADCAST). */
  broadcast?: boolean;
  /** Whether `datagram.ecn` is told (IP_RECVTOS, IPV6_RECVTCLASS). */
  ecn?: boolean;
  /** Whether `datagram.receivedMicros` is told (SO_TIMESTAMPNS). */
  timestamps?: boolean;
  /**
   * Whether `onError` hears that a peer cannot be reached (ICMP; IP_RECVERR). True for a connected
   * socket unless given, false for others.
   */
  reportUnreachable?: boolean;
  /**
   * The treatment of datagrams that do not fit the path: `"system"` lets the kernel find the path's
   * MTU and cut them into fragments, `"fixed"` refuses those that are known not to fit, `"probe"`
   * sends them in one piece whatever is known. As the system is set up unless given.
   */
  pathMtu?: PathMtu;
  /** The number of routers that a datagram to a group may pass, 0 to 255. 1 unless given. */
  multicastTtl?: number;
  /**
   * The interface that datagrams to groups leave by, by its name or its number. The system's choice
   * unless given.
   */
  multicastInterface?: string | number;
  /** Whether this machine hears what it sends to a group. True unless given. */
  multicastLoopback?: boolean;
}

/** The names of {@linkcode DatagramSocketOptions}. */
export const KERNEL_OPTIONS: Known<DatagramSocketOptions> = {
  receiveBufferBytes: 1,
  sendBufferBytes: 1,
  ttl: 1,
  typeOfService: 1,
  priority: 1,
  mark: 1,
  freeBind: "boolean",
  reusePort: "boolean",
  v6Only: "boolean",
  broadcast: "boolean",
  ecn: "boolean",
  timestamps: "boolean",
  reportUnreachable: "boolean",
  pathMtu: 1,
  multicastTtl: 1,
  multicastLoopback: "boolean",
  multicastInterface: 1,
};

/** Where an option goes: to sockets of IPv4, and to those of IPv6, which may speak both. */
interface Place {
  readonly ipv4: OptionName;
  readonly ipv6?: OptionName;
}

function set(fd: number, family: number, { ipv4, ipv6 }: Place, value: number): void {
  // A socket of IPv6 that also takes IPv4 has both.
  setOption(fd, ipv4, value);
  if (family === Family.IPV6 && ipv6 !== undefined) setOption(fd, ipv6, value);
}

const ERRORS: Place = { ipv4: Name.ERRORS, ipv6: Name.ERRORS_6 };
const ECN: Place = { ipv4: Name.ECN, ipv6: Name.ECN_6 };
const PATH_MTU_PLACE: Place = { ipv4: Name.PATH_MTU, ipv6: Name.PATH_MTU_6 };

/** The options that are one number each, with their bounds. */
const NUMBERS: readonly [
  name: keyof DatagramSocketOptions,
  place: Place,
  least: number,
  most: number,
][] = [
  // First, for it sets the priority as well (ip(7)).
  ["typeOfService", { ipv4: Option.TYPE_OF_SERVICE, ipv6: Option.TRAFFIC_CLASS }, 0, 255],
  ["receiveBufferBytes", { ipv4: Option.RECEIVE_BUFFER }, 0, INT_MAX],
  ["sendBufferBytes", { ipv4: Option.SEND_BUFFER }, 0, INT_MAX],
  ["ttl", { ipv4: Name.TTL, ipv6: Name.TTL_6 }, 1, 255],
  ["priority", { ipv4: Option.PRIORITY }, 0, 6],
  ["mark", { ipv4: Option.MARK }, 0, INT_MAX],
  ["multicastTtl", { ipv4: Name.MULTICAST_TTL, ipv6: Name.MULTICAST_TTL_6 }, 0, 255],
];

/** The options that are on or off. */
const SWITCHES: readonly [name: keyof DatagramSocketOptions, place: Place][] = [
  ["freeBind", { ipv4: Option.FREE_BIND }],
  ["reusePort", { ipv4: Option.REUSE_PORT }],
  ["broadcast", { ipv4: Name.BROADCAST }],
  ["timestamps", { ipv4: Name.TIMESTAMPS }],
  ["ecn", ECN],
  ["multicastLoopback", { ipv4: Name.MULTICAST_LOOPBACK, ipv6: Name.MULTICAST_LOOPBACK_6 }],
];

/** Throws for options that the kernel would refuse, before there is a socket. */
export function checkKernelOptions(options: DatagramSocketOptions): void {
  for (const [name, , least, most] of NUMBERS) {
    const value = options[name];
    if (value !== undefined) checkNumber(name, value as number, least, most);
  }
  const { pathMtu } = options;
  if (pathMtu === undefined || Object.hasOwn(PATH_MTU, pathMtu)) return;
  throw new TypeError(
    `Cannot set pathMtu to ${show(pathMtu)}: it is "system", "probe" or "fixed"`,
  );
}

/**
 * Sets what a user asked for, and what we want of every socket, before it is bound.
 *
 * @throws {SystemError} The kernel refuses one.
 */
export function applyKernelOptions(
  fd: number,
  family: number,
  options: DatagramSocketOptions,
): void {
  for (const [name, place] of NUMBERS) {
    const value = options[name];
    if (value !== undefined) set(fd, family, place, value as number);
  }
  for (const [name, place] of SWITCHES) {
    const value = options[name];
    if (value !== undefined) set(fd, family, place, value === true ? 1 : 0);
  }
  const { pathMtu } = options;
  if (pathMtu !== undefined) set(fd, family, PATH_MTU_PLACE, PATH_MTU[pathMtu]);
  if (options.multicastInterface !== undefined) {
    setMulticastInterface(fd, family, interfaceNumber(options.multicastInterface));
  }
  if (options.reportUnreachable === true) set(fd, family, ERRORS, 1);
  // A group that somebody else of this machine has joined is not ours (ip(7), IP_MULTICAST_ALL).
  trySet(fd, Name.MULTICAST_ALL, 0);
  if (family === Family.IPV6) trySet(fd, Name.MULTICAST_ALL_6, 0);
}

const values = new Int32Array(3);

/** `struct ip_mreqn` of IPv4: a group, an address, the number of an interface (ip(7)). */
function setMulticastInterface(fd: number, family: number, number: number): void {
  values.set([0, 0, number]);
  const [level, name] = Name.MULTICAST_INTERFACE;
  check("use an interface for groups", native.setsockopt(fd, level, name, values, 12));
  if (family === Family.IPV6) setOption(fd, Name.MULTICAST_INTERFACE_6, number);
}

/** Sets an option that older kernels do not have, and that we can do without. */
function trySet(fd: number, [level, name]: OptionName, value: number): void {
  values[0] = value;
  native.setsockopt(fd, level, name, values, 4);
}

/** Lets the kernel make trains of what comes, where it can. */
export function takeTrains(fd: number): void {
  trySet(fd, Name.RECEIVE_TRAINS, 1);
}

/** Lets it make none. */
export function takeNoTrains(fd: number): void {
  trySet(fd, Name.RECEIVE_TRAINS, 0);
}

/** Whether the kernel can take trains apart; asked once. */
let knowsTrains: boolean | null = null;

/**
 * Whether the kernel takes trains: Linux before 4.18 would send one as a single long datagram.
 */
export function takesTrains(fd: number): boolean {
  const [level, name] = Name.SEND_TRAINS;
  knowsTrains ??= native.getsockopt(fd, level, name, values, 4) >= 0;
  return knowsTrains;
}

/** Lets the kernel say of each datagram to which of our addresses it came. */
export function wantLocalAddresses(fd: number, family: number): void {
  // The one of IPv6 tells of IPv4, too, in its own form.
  setOption(fd, family === Family.IPV6 ? Name.LOCAL_ADDRESSES_6 : Name.LOCAL_ADDRESSES, 1);
}

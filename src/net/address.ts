/**
 * Addresses: what users write, what users read, and what the kernel takes.
 */
import { Buffer } from "node:buffer";
import { isIP, isIPv4, isIPv6 } from "node:net";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { NetpollError } from "../core/errors.ts";
import { ResolveError } from "../core/resolve_error.ts";
import { show } from "../core/options.ts";

/** The protocol, and for TCP the version of IP: "tcp" takes either. */
export type Network = "tcp" | "tcp4" | "tcp6" | "unix";

/** The version of IP that a datagram socket speaks: "udp" takes either. */
export type DatagramNetwork = "udp" | "udp4" | "udp6";

/** The networks whose addresses are a host and a port. */
export type IpNetwork = Exclude<Network, "unix"> | DatagramNetwork;

/** The address of one end of a connection, or of a datagram. */
export type Address = StreamAddress | UdpAddress;

/** The address of one end of a connection. */
export type StreamAddress = TcpAddress | UnixAddress;

/** The address of one end of a TCP connection. */
export interface TcpAddress {
  /** The kind of address. */
  transport: "tcp";
  /** The numeric IP address, like `"127.0.0.1"` or `"::1"`. */
  hostname: string;
  /** The port. */
  port: number;
}

/** The address of one end of a datagram. */
export interface UdpAddress {
  /** The kind of address. */
  transport: "udp";
  /** The numeric IP address, like `"127.0.0.1"` or `"::1"`. */
  hostname: string;
  /** The port. */
  port: number;
}

/** The address of one end of a Unix connection. */
export interface UnixAddress {
  /** The kind of address. */
  transport: "unix";
  /**
   * The path, `"@name"` for an abstract one, `""` for an end without a name (the one that dialled).
   */
  path: string;
}

/** AF_UNIX, AF_INET and AF_INET6 of Linux. */
export const Family = { UNSPECIFIED: 0, UNIX: 1, IPV4: 2, IPV6: 10 } as const;

/** `struct address` of libnetpoll.c: four numbers, then the bytes. */
const ADDRESS_BYTES = 124;
const ADDRESS_WORDS = ADDRESS_BYTES / 4;
const ENDS_WORDS = 2 * ADDRESS_WORDS + 2;
const UNIX_PATH_BYTES_MAX = 108;
const RESOLVE_COUNT_MAX = 16;
const RESOLVE_BASE = 4096;

/** Room for an address that C writes. */
export function rawAddress(count = 1): Uint32Array {
  return new Uint32Array(count * ADDRESS_WORDS);
}

/** `struct ends` of libnetpoll.c: who a connection is from, which may be read from `raw` itself. */
export interface RawEnds {
  /** Both addresses and the bounds, one after the other. */
  readonly raw: Uint32Array;
  /** The second address: where it arrived. */
  readonly local: Uint32Array;
  /** The bounds of the PROXY header with which it begins: milliseconds, and bytes; 0 where none does. */
  readonly header: Uint32Array;
}

/** Room for the addresses of both ends; `local` is known already, or of nobody. */
export function rawEnds(local: PackedAddress | null = null): RawEnds {
  const raw = new Uint32Array(ENDS_WORDS);
  const header = raw.subarray(2 * ADDRESS_WORDS);
  const ends = { raw, local: raw.subarray(ADDRESS_WORDS, 2 * ADDRESS_WORDS), header };
  if (local !== null) setPacked(ends.local, local);
  return ends;
}

function bytesOf(raw: Uint32Array): Uint8Array {
  return new Uint8Array(raw.buffer, raw.byteOffset + 16, ADDRESS_BYTES - 16);
}

function fill(family: number, port: number, scope: number, bytes: Uint8Array): Uint32Array {
  const raw = rawAddress();
  raw.set([family, port, scope, bytes.length]);
  bytesOf(raw).set(bytes);
  return raw;
}

/** The raw address of a family, a port and its bytes. */
export function rawFromBytes(family: number, port: number, bytes: Uint8Array): Uint32Array {
  return fill(family, port, 0, bytes);
}

/** The bytes of an IP address, those of IPv4 where it is mapped into IPv6; none of a Unix socket's. */
export function hostBytes(raw: Uint32Array): Uint8Array | null {
  if (raw[0] === Family.UNIX || raw[0] === Family.UNSPECIFIED) return null;
  const bytes = bytesOf(raw).slice(0, raw[3]);
  return raw[0] === Family.IPV6 && isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** The same address as one of IPv6. */
export function mapToIPv6(raw: Uint32Array): Uint32Array {
  if (raw[0] !== Family.IPV4) return raw;
  const bytes = new Uint8Array(16).fill(0xff, 10, 12);
  bytes.set(bytesOf(raw).subarray(0, 4), 12);
  return fill(Family.IPV6, raw[1]!, 0, bytes);
}

// ---- what users write ---------------------------------------------------------------------------

/** A host and a port, as written. */
export interface HostPort {
  /** A name, a numeric address, or "" for all addresses of this machine. */
  hostname: string;
  /** 0 to 65535. */
  port: number;
}

function malformed(address: string, why: string): TypeError {
  return new TypeError(
    `Cannot use the address "${address}": ${why}; write "host:port", "[::1]:port" or ":port"`,
  );
}

/**
 * Whether a host must be an IPv4 address: its last label is a number (URL Standard, "ends in a
 * number"). Resolvers read "010.0.0.1" as octal and "127.1" as 127.0.0.1: whoever checked the text
 * has checked another host.
 */
function endsInNumber(hostname: string): boolean {
  return /(^|\.)(\d+|0x[\da-f]*)\.?$/i.test(hostname);
}

/**
 * Throws unless an address is a string: an object in its place could be one at each reading.
 *
 * @throws {TypeError} It is none.
 */
function checkText(address: unknown): void {
  if (typeof address === "string") return;
  throw new TypeError(`Cannot use ${show(address)} as an address: it is no string`);
}

/**
 * Takes "host:port" apart.
 *
 * @throws {TypeError} It is not of that form.
 */
export function parseHostPort(address: string): HostPort {
  checkText(address);
  const colon = address.lastIndexOf(":");
  if (colon < 0) throw malformed(address, "it has no port");
  let hostname = address.slice(0, colon);
  const digits = address.slice(colon + 1);
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : -1;
  if (port < 0 || port > 65535) throw malformed(address, "a port is a number from 0 to 65535");
  if (hostname.startsWith("[") && hostname.endsWith("]")) {
    hostname = hostname.slice(1, -1);
    if (!isIPv6(hostname)) throw malformed(address, `"${hostname}" is no IPv6 address`);
  } else if (hostname.includes(":")) {
    throw malformed(address, "an IPv6 address stands in brackets");
  } else if (/[\s/@\0[\]]/.test(hostname)) {
    throw malformed(address, `"${hostname}" is no host name`);
  } else if (endsInNumber(hostname) && !isIPv4(hostname)) {
    throw malformed(address, `"${hostname}" is no IPv4 address`);
  }
  return { hostname, port };
}

/**
 * The raw address of a Unix socket's path, or of "@name".
 *
 * @throws {TypeError} It is empty, too long for the kernel, or has a 0 byte in it.
 */
export function parsePath(path: string): Uint32Array {
  checkText(path);
  const isAbstract = path.startsWith("@");
  const bytes = Buffer.from(isAbstract ? "\0" + path.slice(1) : host.plainPath(path));
  if (path === "" || path === "@") {
    throw new TypeError("Cannot use an empty path for a Unix socket");
  }
  if (path.includes("\0")) {
    throw new TypeError(`Cannot use a path with a 0 byte in it: ${JSON.stringify(path)}`);
  }
  // The kernel keeps the last byte for the end of a path (unix(7)).
  if (bytes.length > UNIX_PATH_BYTES_MAX - (isAbstract ? 0 : 1)) {
    throw new TypeError(
      `Cannot use a path of ${bytes.length} bytes for a Unix socket: Linux takes ${
        UNIX_PATH_BYTES_MAX - 1
      }`,
    );
  }
  return fill(Family.UNIX, 0, 0, bytes);
}

function ipv4Bytes(address: string): Uint8Array {
  return Uint8Array.from(address.split("."), Number);
}

function ipv6Bytes(address: string): Uint8Array {
  // A dotted tail is two groups more.
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (dotted) {
    const [a, b, c, d] = ipv4Bytes(dotted[2]!) as unknown as [number, number, number, number];
    address = `${dotted[1]}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
  }
  const [left = "", right] = address.split("::");
  const groups = (text: string) =>
    text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  const all = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/**
 * The raw address of a numeric one. An IPv6 one may have a zone: the number of an interface, or its
 * name ("fe80::1%2", "fe80::1%eth0").
 *
 * @throws {NetpollError} No interface has that name.
 * @throws {Error} Deno's `NotCapable`: the program may not use the address, whatever its zone is.
 */
export function rawFromNumeric(hostname: string, port: number): Uint32Array {
  if (isIPv4(hostname)) return fill(Family.IPV4, port, 0, ipv4Bytes(hostname));
  const [address = "", zone = "0"] = hostname.split("%");
  const isNumbered = /^\d+$/.test(zone);
  const raw = fill(Family.IPV6, port, isNumbered ? Number(zone) : 0, ipv6Bytes(address));
  if (isNumbered) return raw;
  // Asked first: which interfaces there are is nothing for who may not use the address.
  host.checkNet((formatAddress(raw) as TcpAddress).hostname, port);
  // Names of interfaces are the system's business; with a numeric address it asks no name server.
  return lookUp(hostname, Family.IPV6, port)[0]!;
}

const FAMILY_OF: Readonly<Record<IpNetwork, number>> = {
  tcp: Family.UNSPECIFIED,
  tcp4: Family.IPV4,
  tcp6: Family.IPV6,
  udp: Family.UNSPECIFIED,
  udp4: Family.IPV4,
  udp6: Family.IPV6,
};

/** Whether a family serves a network: "tcp" and "udp" take any. */
function serves(family: number, network: IpNetwork): boolean {
  return FAMILY_OF[network] === Family.UNSPECIFIED || FAMILY_OF[network] === family;
}

/** Whether a host is written as an address; the others are names, which stand for some. */
export function isNumeric(hostname: string): boolean {
  return isIP(hostname) !== 0;
}

/** The addresses of hosts that need no resolver, best first; "" is every one of this machine. */
const WELL_KNOWN: Readonly<Record<string, readonly string[]>> = {
  "": ["::", "0.0.0.0"],
  // Wherever a resolver may look it up (RFC 6761 §6.3).
  localhost: ["127.0.0.1", "::1"],
};

/**
 * The raw addresses of a host that a network can use, best first: numeric ones, "" and "localhost"
 * need no resolver; other names ask the system's and **block** the thread until it has answered.
 *
 * @throws {ResolveError} The name is unknown, or has no address for the network.
 */
export function resolveHost(network: IpNetwork, at: HostPort): Uint32Array[] {
  const { hostname, port } = at;
  const numeric = isNumeric(hostname) ? [hostname] : wellKnown(hostname);
  const raws = numeric?.map((address) => rawFromNumeric(address, port)) ??
    lookUp(hostname, FAMILY_OF[network], port);
  const fitting = raws.filter((raw) => serves(raw[0]!, network));
  if (fitting.length > 0) return fitting;
  if (!isNumeric(hostname)) {
    throw new ResolveError(hostname, "ENOTFOUND", `it has no address for ${network}`);
  }
  throw new NetpollError(`Cannot use "${hostname}" with ${network}: it has no such address`);
}

/** The addresses of a host that needs no resolver, or null. */
export function wellKnown(hostname: string): readonly string[] | null {
  const name = hostname.toLowerCase();
  return Object.hasOwn(WELL_KNOWN, name) ? WELL_KNOWN[name]! : null;
}

/** The kernel counts interfaces in an `int`. */
const INTERFACE_MAX = 2 ** 31 - 1;

/**
 * The number of an interface of this machine, by its number or its name.
 *
 * @throws {NetpollError} No interface has that name.
 * @throws {TypeError} It is neither a number above 0 nor a name.
 */
export function interfaceNumber(given: number | string): number {
  const number = typeof given === "string" && /^[1-9]\d*$/.test(given) ? Number(given) : given;
  if (typeof number === "number" && Number.isInteger(number)) {
    if (number > 0 && number <= INTERFACE_MAX) return number;
  }
  if (typeof number !== "string" || !/^[^\s/%:\0]{1,15}$/.test(number)) {
    throw new TypeError(`Cannot use ${show(given)} as an interface: it is a name or a number`);
  }
  try {
    // Names of interfaces are the system's business; with a numeric address it asks no name server.
    return lookUp(`fe80::1%${number}`, Family.IPV6, 0)[0]![2]!;
  } catch (cause) {
    if (!(cause instanceof NetpollError)) throw cause;
    throw new NetpollError(`Cannot use the interface "${given}": there is none`, { cause });
  }
}

/** getaddrinfo's own codes (netdb.h, the same in glibc and musl). */
const LOOKUP_ERRORS: Readonly<Record<number, readonly [code: string, meaning: string]>> = {
  [-2]: ["EAI_NONAME", "no such host"],
  [-3]: ["EAI_AGAIN", "the name server does not answer; try again"],
  [-4]: ["EAI_FAIL", "the name server refuses"],
  [-5]: ["EAI_NODATA", "the host has no address"],
  [-9]: ["EAI_ADDRFAMILY", "the host has no such address"],
};

function lookUp(hostname: string, family: number, port: number): Uint32Array[] {
  const out = rawAddress(RESOLVE_COUNT_MAX);
  const count = native.resolve(Buffer.from(hostname + "\0"), family, out, RESOLVE_COUNT_MAX);
  if (count < -RESOLVE_BASE) {
    const said = count + RESOLVE_BASE;
    const [code, why] = LOOKUP_ERRORS[said] ?? [`EAI_${-said}`, `getaddrinfo said ${said}`];
    throw new ResolveError(hostname, code, why);
  }
  check("resolve", count, hostname);
  const words = ADDRESS_BYTES / 4;
  return Array.from({ length: count }, (_, i) => {
    const raw = out.slice(i * words, (i + 1) * words);
    raw[1] = port;
    return raw;
  });
}

// ---- what users read ----------------------------------------------------------------------------

function formatIPv6(bytes: Uint8Array, scope: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i]! << 8 | bytes[2 * i + 1]!);
  // The longest run of zeros becomes "::" (RFC 5952): the first, of several; never a single one.
  let [from, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - i > length) [from, length] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  const text = from < 0
    ? hex(groups)
    : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + length))}`;
  return scope === 0 ? text : `${text}%${scope}`;
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff &&
    bytes.subarray(0, 10).every((byte) => byte === 0);
}

/**
 * The address that C wrote. An IPv4 one mapped into IPv6 (`::ffff:1.2.3.4`) is shown as what it is.
 */
export function formatAddress(raw: Uint32Array): StreamAddress {
  const [family, port = 0, scope = 0, length = 0] = raw;
  const bytes = bytesOf(raw).subarray(0, length);
  if (family === Family.IPV4) return { transport: "tcp", hostname: bytes.join("."), port };
  if (family === Family.IPV6) {
    const hostname = isMapped(bytes) ? bytes.subarray(12).join(".") : formatIPv6(bytes, scope);
    return { transport: "tcp", hostname, port };
  }
  const text = Buffer.from(bytes).toString();
  return { transport: "unix", path: bytes[0] === 0 ? `@${text.slice(1)}` : text };
}

/** The address of a datagram socket that C wrote, or that was packed. */
export function udpAddress(raw: Uint32Array): UdpAddress {
  const { hostname, port } = formatAddress(raw) as TcpAddress;
  return { transport: "udp", hostname, port };
}

/** Whether an address is every address of this machine. */
export function isWildcard(raw: Uint32Array): boolean {
  return raw[0] !== Family.UNIX && bytesOf(raw).subarray(0, raw[3]).every((byte) => byte === 0);
}

/**
 * A raw address in less room, to be kept: an IPv4 one, by far the most frequent, in a single
 * number.
 */
export type PackedAddress = number | Uint32Array;

const PORT_FACTOR = 2 ** 32;

/** Packs a raw address; C may then write the next one to it. */
export function packAddress(raw: Uint32Array): PackedAddress {
  return raw[0] === Family.IPV4
    ? raw[1]! * PORT_FACTOR + raw[4]!
    : raw.slice(0, 4 + Math.ceil(raw[3]! / 4));
}

/** The address that was packed. */
export function unpackAddress(packed: PackedAddress): StreamAddress {
  const raw = rawAddress();
  setPacked(raw, packed);
  return formatAddress(raw);
}

/** Writes a packed address where C reads it. */
export function setPacked(raw: Uint32Array, packed: PackedAddress): void {
  if (typeof packed !== "number") raw.set(packed);
  else raw.set([Family.IPV4, Math.floor(packed / PORT_FACTOR), 0, 4, packed % PORT_FACTOR]);
}

/** Whether what is sent from one address to another stays on this machine. */
export function isSameMachine(local: Address, remote: Address): boolean {
  if (local.transport === "unix" || remote.transport === "unix") return true;
  const { hostname } = remote;
  return hostname === local.hostname || hostname === "::1" || hostname.startsWith("127.");
}

/** An address in one line, for messages. */
export function describeAddress(address: Address): string {
  if (address.transport === "unix") return address.path || "(a socket without a name)";
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

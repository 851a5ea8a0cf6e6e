/**
 * PROXY headers, version 1 and 2, read and written: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
 * is the specification that the files beside this one name.
 */
import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";
import { ProxyHeaderError } from "../core/proxy_header_error.ts";
import { PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX } from "../core/limits.ts";
import { checkNumber, checkOptions, type Known, readOptions, show } from "../core/options.ts";
import {
  Family,
  formatAddress,
  mapToIPv6,
  parseHostPort,
  rawFromBytes,
  rawFromNumeric,
  type TcpAddress,
} from "./address.ts";
import { BINARY_SIGNATURE, type BinaryEnds, readBinary, writeBinary } from "./proxy_binary.ts";
import type { ProxyHeader, ProxyHeaderOptions } from "./proxy_contract.ts";
import { LINE_SIGNATURE, readLine, writeLine } from "./proxy_line.ts";
import { writeValues } from "./proxy_values.ts";
import { type AddressLike, writtenDatagram, writtenStream } from "./written.ts";

/** The options of {@linkcode decodeProxyHeader}. */
export interface DecodeProxyHeaderOptions {
  /** The longest header: 107, a line of version 1, to 65551. 65551 unless given. */
  bytesMax?: number;
}

const DECODE_OPTIONS: Known<DecodeProxyHeaderOptions> = { bytesMax: 1 };

/** Passes on the longest header that a user allows. */
export function checkHeaderBytes(bytesMax = PROXY_HEADER_BYTES_MAX): number {
  return checkNumber("bytesMax", bytesMax, PROXY_LINE_BYTES_MAX, PROXY_HEADER_BYTES_MAX);
}

function startsAs(bytes: Uint8Array, signature: Uint8Array): boolean {
  const length = Math.min(bytes.length, signature.length);
  for (let at = 0; at < length; at++) if (bytes[at] !== signature[at]) return false;
  return true;
}

/** Reads a header whose longest length is known to be right. */
export function readHeader(bytes: Uint8Array, bytesMax: number): ProxyHeader | null {
  if (bytes.length === 0) return null;
  if (startsAs(bytes, BINARY_SIGNATURE)) return readBinary(bytes, bytesMax);
  if (startsAs(bytes, LINE_SIGNATURE)) return readLine(bytes);
  const begin = JSON.stringify(Buffer.from(bytes.subarray(0, 16)).toString("latin1"));
  throw new ProxyHeaderError("signature", `the connection begins with ${begin}`);
}

/**
 * Reads a PROXY header of version 1 or 2 from the first bytes of a connection, or of a datagram.
 * Null while it is not whole; `headerBytes` says where it ends. What it returns is owned: all of it is
 * copied, so that `bytes` may change.
 *
 * The receiver must know by other means that the sender may be believed.
 *
 * @throws {ProxyHeaderError} It is none, as soon as that can be seen; or it is too long.
 * @throws {RangeError} `bytesMax` is out of bounds.
 *
 * @example
 * ```ts
 * import { decodeProxyHeader } from "@netpoll/netpoll/operations";
 *
 * const bytes = new TextEncoder().encode("PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\nhello");
 * const header = decodeProxyHeader(bytes)!;
 * console.log(header.source); // { transport: "tcp", hostname: "192.0.2.1", port: 56324 }
 * console.log(new TextDecoder().decode(bytes.subarray(header.headerBytes))); // "hello"
 * ```
 */
export function decodeProxyHeader(
  bytes: Uint8Array,
  options: DecodeProxyHeaderOptions = {},
): ProxyHeader | null {
  checkOptions("decodeProxyHeader", options, DECODE_OPTIONS);
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`Cannot read ${show(bytes)} as a PROXY header: it is no Uint8Array`);
  }
  return readHeader(bytes, checkHeaderBytes(options.bytesMax));
}

// ---- written ------------------------------------------------------------------------------------

/** The names of {@linkcode ProxyHeaderOptions}. */
const HEADER_OPTIONS: Known<ProxyHeaderOptions> = {
  version: 1,
  source: 1,
  destination: 1,
  alpn: 1,
  authority: 1,
  uniqueId: 1,
  tls: 1,
  namespace: 1,
  values: 1,
  checksum: "boolean",
};
/** The options that version 1 has no place for. */
const BINARY_ONLY = [
  "alpn",
  "authority",
  "uniqueId",
  "tls",
  "namespace",
  "values",
  "checksum",
] as const;

function wrongEnd(name: string, given: unknown, why: string): TypeError {
  return new TypeError(`Cannot use ${show(given)} as the ${name} of a PROXY header: ${why}`);
}

/** An end as a user gave it. */
interface End {
  readonly kind: "tcp" | "udp" | "unix";
  readonly raw: Uint32Array;
}

function pathEnd(name: string, path: unknown): End {
  if (typeof path !== "string") throw wrongEnd(name, path, "a path is a string");
  const bytes = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  // One without a name is that of a socket that was not bound.
  if (path.includes("\0") || bytes.length > 108) {
    throw wrongEnd(name, path, "a path has 108 bytes at most, and no 0 byte");
  }
  return { kind: "unix", raw: rawFromBytes(Family.UNIX, 0, bytes) };
}

function endOf(name: string, given: AddressLike): End {
  const { transport, path } = Object(given) as { transport?: unknown; path?: unknown };
  if (transport === "unix") return pathEnd(name, path);
  const isDatagram = transport === "udp" || /^udp/.test(String(given));
  const { network, text } = isDatagram ? writtenDatagram(given) : writtenStream(given);
  if (network === "unix") return pathEnd(name, text);
  const { hostname, port } = parseHostPort(text);
  // An interface is of one machine only.
  const host = hostname.split("%")[0]!;
  if (!isIPv4(host) && !isIPv6(host)) throw wrongEnd(name, hostname, "it is no IP address");
  return { kind: isDatagram ? "udp" : "tcp", raw: rawFromNumeric(host, port) };
}

/** Both ends, of one family; null when there are none. */
function endsOf({ source, destination }: ProxyHeaderOptions): BinaryEnds | null {
  if (source === undefined && destination === undefined) return null;
  if (source === undefined || destination === undefined) {
    throw new TypeError("Cannot write a PROXY header of one address: give source and destination");
  }
  const [from, to] = [endOf("source", source), endOf("destination", destination)];
  if (from.kind !== to.kind) {
    throw new TypeError(`Cannot write a PROXY header from ${from.kind} to ${to.kind}`);
  }
  const isOne = from.raw[0] === to.raw[0];
  const raws = isOne
    ? [from.raw, to.raw] as const
    : [mapToIPv6(from.raw), mapToIPv6(to.raw)] as const;
  return { raws, isDatagram: from.kind === "udp" };
}

/** The address of a line: as it is in its family, mapped ones included. */
function lineAddress(raw: Uint32Array, isMapped: boolean): TcpAddress {
  const address = formatAddress(raw) as TcpAddress;
  const isDotted = isMapped && isIPv4(address.hostname);
  return isDotted ? { ...address, hostname: `::ffff:${address.hostname}` } : address;
}

function lineOf(ends: BinaryEnds | null): Uint8Array {
  const family = ends?.raws[0][0];
  // It knows no others.
  if (ends === null || ends.isDatagram || family === Family.UNIX) return writeLine(null);
  const [source, destination] = ends.raws;
  const isIPv6Line = family === Family.IPV6;
  return writeLine([lineAddress(source, isIPv6Line), lineAddress(destination, isIPv6Line)]);
}

/**
 * Writes a PROXY header: what a proxy sends before the bytes of its client. `dial` does so by itself
 * (`proxyProtocol`). An IPv4 and an IPv6 address together are written as two of IPv6. The bytes are
 * owned by the caller.
 *
 * @throws {TypeError} An option is wrong, or one that version 1 has no place for.
 * @throws {RangeError} A number is out of bounds, or it is longer than 65551 bytes.
 *
 * @example
 * ```ts
 * import { decodeProxyHeader, encodeProxyHeader } from "@netpoll/netpoll/operations";
 *
 * const bytes = encodeProxyHeader({
 *   source: "[2001:db8::1]:56324",
 *   destination: "[2001:db8::2]:443",
 *   authority: "example.org",
 *   tls: { protocol: "TLSv1.3" },
 *   checksum: true,
 * });
 * console.log(decodeProxyHeader(bytes)?.tls?.protocol); // "TLSv1.3"
 * ```
 */
export function encodeProxyHeader(options: ProxyHeaderOptions = {}): Uint8Array {
  const read = readOptions("a PROXY header", options, HEADER_OPTIONS);
  const { version = 2, checksum = false } = read;
  if (version !== 1 && version !== 2) {
    throw new TypeError(`Cannot write version ${show(version)} of a PROXY header: it is 1 or 2`);
  }
  const ends = endsOf(read);
  if (version === 2) return new Uint8Array(writeBinary(ends, writeValues(read), checksum));
  const extra = BINARY_ONLY.find((name) => read[name] !== undefined && read[name] !== false);
  if (extra !== undefined) {
    throw new TypeError(
      `Cannot write ${extra} into a PROXY header of version 1: it takes version 2`,
    );
  }
  return new Uint8Array(lineOf(ends));
}

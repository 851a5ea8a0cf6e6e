/**
 * Peers that are believed: networks of IP addresses, and those of Unix sockets.
 */
import { isIP, isIPv4 } from "node:net";
import { show } from "../core/options.ts";
import {
  Family,
  hostBytes,
  type PackedAddress,
  rawAddress,
  rawFromNumeric,
  setPacked,
} from "./address.ts";

/** The word for all peers of Unix sockets. */
const UNIX = "unix";

/** The first bits that all addresses of a network have. */
interface Prefix {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

function malformed(given: unknown): TypeError {
  return new TypeError(
    `Cannot trust ${show(given)}: write an IP address, a network like "10.0.0.0/8", or "unix"`,
  );
}

/** The network of a text; null for the word for Unix sockets. */
function prefixOf(given: unknown): Prefix | null {
  if (given === UNIX) return null;
  const [, address = "", digits] = typeof given === "string"
    ? /^([\da-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(given) ?? []
    : [];
  if (isIP(address) === 0) throw malformed(given);
  const bytes = hostBytes(rawFromNumeric(address, 0))!;
  // IPv4 mapped into IPv6 is IPv4: its network counts the 96 bits before as well.
  const before = bytes.length === 4 && !isIPv4(address) ? 96 : 0;
  const bits = digits === undefined ? 8 * bytes.length : Number(digits) - before;
  if (bits < 0 || bits > 8 * bytes.length) throw malformed(given);
  return { bytes, bits };
}

function lies(host: Uint8Array, { bytes, bits }: Prefix): boolean {
  if (host.length !== bytes.length) return false;
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) if (host[at] !== bytes[at]) return false;
  return (bits & 7) === 0 || (host[whole]! ^ bytes[whole]!) >> 8 - (bits & 7) === 0;
}

/** Peers that are believed. */
export class Trusted {
  readonly #prefixes: readonly Prefix[];
  readonly #isUnix: boolean;
  readonly #raw = rawAddress();

  /**
   * Those that a list names.
   *
   * @throws {TypeError} It is no list, or an entry is neither an address, a network nor "unix".
   */
  constructor(list: readonly string[]) {
    if (!Array.isArray(list)) {
      throw new TypeError(`Cannot trust ${show(list)}: it is an array of addresses and networks`);
    }
    const prefixes = list.map(prefixOf);
    this.#prefixes = prefixes.filter((prefix) => prefix !== null);
    this.#isUnix = prefixes.includes(null);
  }

  /** Whether a peer at this address is believed. */
  has(peer: PackedAddress): boolean {
    setPacked(this.#raw, peer);
    if (this.#raw[0] === Family.UNIX) return this.#isUnix;
    const host = hostBytes(this.#raw);
    return host !== null && this.#prefixes.some((prefix) => lies(host, prefix));
  }
}

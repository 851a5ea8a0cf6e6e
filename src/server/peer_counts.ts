/**
 * The number of connections of each address.
 */
import { Family, packAddress, type PackedAddress, rawFromNumeric } from "../net/address.ts";
import { clientAddress, type ProxyInfo } from "../transport/proxied.ts";

/** The key of a host: its IP address without a port; null for a peer that has none. */
export type PeerKey = number | string | null;

const HOST_FACTOR = 2 ** 32; // of a packed IPv4 address, above which lies the port

/** The third word of an IPv4 address mapped into IPv6 (::ffff:0:0/96), as it lies in memory. */
const MAPPED = 0xffff_0000;

/** The host of an address. */
export function peerKey(address: PackedAddress | null): PeerKey {
  if (address === null) return null;
  if (typeof address === "number") return address % HOST_FACTOR;
  if (address[0] !== Family.IPV6) return null;
  // A listener of both takes IPv4 hosts as mapped ones: they are the same hosts.
  const [a, b, c, last] = address.subarray(4, 8);
  return a === 0 && b === 0 && c === MAPPED ? last! : `${a},${b},${c},${last}`;
}

/** The host that a connection comes from: behind a proxy, its client's where the proxy has said it. */
export function clientKey(peer: PackedAddress | null, proxy: ProxyInfo | null): PeerKey {
  const client = clientAddress(proxy, "source");
  if (client === null) return peerKey(peer);
  if (client.transport === "unix") return null;
  return peerKey(packAddress(rawFromNumeric(client.hostname, 0)));
}

/** Counts connections by host, up to a bound. */
export class PeerCounts {
  readonly #most: number;
  readonly #counts = new Map<PeerKey, number>();

  /** At most so many for each host. */
  constructor(most: number) {
    this.#most = most;
  }

  /** One more of a host; false, and not counted, when it has too many. */
  add(key: PeerKey): boolean {
    if (key === null || this.#most === Infinity) return true;
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  /** One fewer of a host. */
  remove(key: PeerKey): void {
    const count = this.#counts.get(key);
    if (count === undefined) return;
    if (count === 1) this.#counts.delete(key);
    else this.#counts.set(key, count - 1);
  }
}

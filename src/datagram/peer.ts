/**
 * Peers: packed addresses as users write, read and compare them.
 */
import { show } from "../core/options.ts";
import {
  describeAddress,
  Family,
  isNumeric,
  packAddress,
  type PackedAddress,
  parseHostPort,
  rawAddress,
  rawFromNumeric,
  setPacked,
  type UdpAddress,
  udpAddress,
  wellKnown,
} from "../net/address.ts";
import { type AddressLike, writtenDatagram } from "../net/written.ts";

const PORT_FACTOR = 2 ** 32;
const PACKED_MAX = 65_536 * PORT_FACTOR;
const IPV6_WORDS = 8;
const IPV6_BYTES = 16;
const PORT_MAX = 65_535;
const NO_PEER = 'it is no packed address; packPeer("127.0.0.1:53") makes one';

/**
 * Packs a numeric address, for `writeTo`. A name is looked up by `dialDatagram` alone: that waits.
 *
 * @throws {TypeError} It is no "host:port" with a numeric host or `localhost`, or its port is 0.
 * @throws {ResolveError} It names an interface (`fe80::1%eth0`) that this machine does not have.
 *
 * @example
 * ```ts
 * import { packPeer, unpackPeer } from "@netpoll/netpoll/udp";
 *
 * const peer = packPeer("127.0.0.1:5353");
 * console.log(unpackPeer(peer)); // { transport: "udp", hostname: "127.0.0.1", port: 5353 }
 * ```
 */
export function packPeer(address: AddressLike): PackedAddress {
  const { hostname, port } = parseHostPort(writtenDatagram(address).text);
  const numeric = wellKnown(String(hostname))?.[0] ?? hostname;
  if (hostname === "" || !isNumeric(numeric) || !isPort(port)) {
    throw new TypeError(
      `Cannot send to ${show(address)}: it needs a numeric host, or localhost, and a port above 0`,
    );
  }
  // IPv4 that is mapped into IPv6 is IPv4, as it is where a datagram comes from.
  const { hostname: plain } = udpAddress(rawFromNumeric(numeric, port));
  return packAddress(rawFromNumeric(plain, port));
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= PORT_MAX;
}

/**
 * The address that was packed.
 *
 * @throws {TypeError} It is no packed address.
 *
 * @example
 * ```ts
 * import { packPeer, unpackPeer } from "@netpoll/netpoll/udp";
 *
 * console.log(unpackPeer(packPeer("[::1]:53")).hostname); // "::1"
 * ```
 */
export function unpackPeer(peer: PackedAddress): UdpAddress {
  return udpOf(checkPacked(peer, "unpack"));
}

/**
 * A key for a `Map` or a `Set`: `peerKey` of the datagrams that this peer sends. It is for a peer
 * that did not come with a datagram, such as the one that `onError` is told of.
 *
 * @throws {TypeError} It is no packed address.
 *
 * @example
 * ```ts
 * import { packPeer, peerKey } from "@netpoll/netpoll/udp";
 *
 * const names = new Map([[peerKey(packPeer("[::1]:53")), "resolver"]]);
 * console.log(names.get(peerKey(packPeer("[::1]:53")))); // "resolver"
 * ```
 */
export function peerKey(peer: PackedAddress): number | string {
  return keyOf(checkPacked(peer, "make a key of"));
}

function checkPacked(peer: PackedAddress, action: string): PackedAddress {
  // Whoever forges the source of a datagram may have written port 0 there.
  if (typeof peer === "number" && Number.isInteger(peer) && peer >= 0 && peer < PACKED_MAX) {
    return peer;
  }
  if (isIPv6(peer)) return peer;
  throw new TypeError(`Cannot ${action} ${show(peer)}: ${NO_PEER}`);
}

/** A packed address of ours as users read it. */
export function udpOf(peer: PackedAddress): UdpAddress {
  const raw = rawAddress();
  setPacked(raw, peer);
  return udpAddress(raw);
}

/** {@linkcode peerKey} of a packed address of ours: of IPv4 the address itself, of IPv6 a text. */
export function keyOf(peer: PackedAddress): number | string {
  if (typeof peer === "number") return peer;
  const [, port, scope, , a, b, c, d] = peer as unknown as readonly number[];
  return String.fromCharCode(
    port!,
    ...halves(scope!),
    ...halves(a!),
    ...halves(b!),
    ...halves(c!),
    ...halves(d!),
  );
}

function halves(word: number): [low: number, high: number] {
  return [word & 0xffff, word >>> 16];
}

/**
 * Passes on a packed address that a user gave.
 *
 * @throws {TypeError} It is none.
 */
export function checkPeer(peer: PackedAddress): PackedAddress {
  if (typeof peer === "number") {
    if (Number.isInteger(peer) && peer >= PORT_FACTOR && peer < PACKED_MAX) return peer;
  } else if (isIPv6(peer) && isPort(peer[1]!)) return peer;
  throw new TypeError(`Cannot send to ${show(peer)}: ${NO_PEER}`);
}

function isIPv6(peer: unknown): peer is Uint32Array {
  return peer instanceof Uint32Array && peer.length === IPV6_WORDS && peer[0] === Family.IPV6 &&
    peer[3] === IPV6_BYTES;
}

/** A peer in one line, for messages. */
export function describePeer(peer: PackedAddress): string {
  return describeAddress(udpOf(peer));
}

/**
 * The PROXY header of a connection that is dialled.
 */
import { Connection } from "../connection/connection.ts";
import { show } from "../core/options.ts";
import { type Address, type PackedAddress, unpackAddress } from "../net/address.ts";
import { type ProxyHeaderOptions, ProxyType } from "../net/proxy_contract.ts";
import { encodeProxyHeader } from "../net/proxy_header.ts";
import type { DialOptions } from "./dial_options.ts";

/** The bytes of a header, once both ends of the connection are known. */
export type HeaderOf = (nameOf: (end: 0 | 1) => PackedAddress) => Uint8Array;

/** The addresses of a client that came to us, and what its own proxy has said of it. */
function relayed({ remoteAddress, localAddress, proxy }: Connection): ProxyHeaderOptions {
  const values = (proxy?.values ?? [])
    .filter(({ type }) => type !== ProxyType.CRC32C && type !== ProxyType.NOOP);
  return { source: remoteAddress, destination: localAddress, values };
}

/**
 * The header that a user wants; null for none.
 *
 * @throws {TypeError} It cannot be written.
 * @throws {RangeError} A number in it is out of bounds.
 */
export function headerOf(option: DialOptions["proxyProtocol"]): HeaderOf | null {
  if (option === undefined) return null;
  if (option !== true && (typeof option !== "object" || option === null)) {
    const cure = "it is true, a Connection, or the parts of a header";
    throw new TypeError(`Cannot send ${show(option)} as a PROXY header: ${cure}`);
  }
  const given = option === true ? {} : option instanceof Connection ? relayed(option) : option;
  const bytes = encodeProxyHeader(given);
  if (given.version !== 1 || given.source !== undefined) return () => bytes;
  // Receivers may refuse an unknown sender: the specification wants its own addresses (§2.1).
  return (nameOf) => {
    const address = (end: 0 | 1): Address => unpackAddress(nameOf(end));
    return encodeProxyHeader({ version: 1, source: address(0), destination: address(1) });
  };
}

/**
 * The header of the PROXY protocol, as it is read and as it is written.
 */
import type { Address } from "./address.ts";
import type { AddressLike } from "./written.ts";

/**
 * One value of a header of version 2: its type, and its bytes.
 *
 * @example
 * ```ts
 * import { type ProxyValue } from "@netpoll/netpoll";
 * import { encodeProxyHeader } from "@netpoll/netpoll/operations";
 *
 * // A type of 0xe0 to 0xef is yours (the specification, §2.2.8).
 * const zone: ProxyValue = { type: 0xe7, bytes: new TextEncoder().encode("zone-a") };
 * console.log(encodeProxyHeader({ values: [zone] }).length); // 25
 * ```
 */
export interface ProxyValue {
  /** Its type: 0 to 255. */
  readonly type: number;
  /** Its bytes, 65535 at the most. */
  readonly bytes: Uint8Array;
}

/** The TLS between a client and its proxy, as the proxy tells it. */
export interface ProxyTls {
  /** Whether the client has shown a certificate that the proxy has verified. */
  readonly isVerified: boolean;
  /** Whether the client has shown a certificate over this connection. */
  readonly hasCertificate: boolean;
  /** Whether the client has shown a certificate at least once in this session. */
  readonly hadCertificate: boolean;
  /** The result of the verification: 0 when nothing is wrong, with no certificate as well. */
  readonly verification: number;
  /** The version, like `"TLSv1.3"`. */
  readonly protocol: string | null;
  /** The cipher, like `"ECDHE-RSA-AES128-GCM-SHA256"`. */
  readonly cipher: string | null;
  /** The common name of the client's certificate. */
  readonly commonName: string | null;
  /** The algorithm that signed the proxy's certificate, like `"RSA-SHA256"`. */
  readonly signatureAlgorithm: string | null;
  /** The key of the proxy's certificate, like `"RSA2048"`. */
  readonly keyAlgorithm: string | null;
  /** The group of the key exchange, like `"secp256r1"`. */
  readonly group: string | null;
  /** The scheme of the proxy's signature in the handshake, like `"rsa_pss_rsae_sha256"`. */
  readonly signatureScheme: string | null;
  /** The client's certificate in DER. */
  readonly clientCertificate: Uint8Array | null;
  /** All values of this part, in their order. */
  readonly values: readonly ProxyValue[];
}

/** A header of the PROXY protocol. What it does not say is null. */
export interface ProxyHeader {
  /** The version of the header. */
  readonly version: 1 | 2;
  /**
   * `"PROXY"` for a connection that is relayed; `"LOCAL"` for one of the proxy's own, like a health
   * check. Version 1 says `UNKNOWN` for what it cannot name: that is a `"PROXY"` without addresses.
   */
  readonly command: "LOCAL" | "PROXY";
  /** The address of the client. */
  readonly source: Address | null;
  /** The address that the client has connected to. */
  readonly destination: Address | null;
  /** The length of the header in bytes: what follows is the connection's. */
  readonly headerBytes: number;
  /** All values in their order, those included that have a name below. */
  readonly values: readonly ProxyValue[];
  /** The protocol that client and proxy agreed on by ALPN, like `"h2"`. */
  readonly alpn: string | null;
  /** The host that the client asked for: the server name of its TLS. */
  readonly authority: string | null;
  /** The number or name that the proxy has given to the connection: 128 bytes at the most. */
  readonly uniqueId: Uint8Array | null;
  /** The TLS between client and proxy. */
  readonly tls: ProxyTls | null;
  /** The name of the network namespace. */
  readonly namespace: string | null;
  /** The endpoint of AWS PrivateLink that the client came through, like `"vpce-08d2bf15fac5001c9"`. */
  readonly awsEndpointId: string | null;
  /** The link of Azure Private Link that the client came through. */
  readonly azureLinkId: number | null;
  /** The connection of Google Private Service Connect that the client came through. */
  readonly gcpConnectionId: bigint | null;
}

/** The types of values, by their names in the specification (§2.2), and three of clouds. */
export const ProxyType = {
  ALPN: 0x01,
  AUTHORITY: 0x02,
  CRC32C: 0x03,
  NOOP: 0x04,
  UNIQUE_ID: 0x05,
  SSL: 0x20,
  SSL_VERSION: 0x21,
  SSL_CN: 0x22,
  SSL_CIPHER: 0x23,
  SSL_SIG_ALG: 0x24,
  SSL_KEY_ALG: 0x25,
  SSL_GROUP: 0x26,
  SSL_SIG_SCHEME: 0x27,
  SSL_CLIENT_CERT: 0x28,
  NETNS: 0x30,
  GCP: 0xe0,
  AWS: 0xea,
  AZURE: 0xee,
} as const;

/** The TLS of a client, for {@linkcode ProxyHeaderOptions}. */
export interface ProxyTlsOptions {
  /** Whether the client has shown a certificate over this connection. */
  hasCertificate?: boolean;
  /** Whether the client has shown one in this session. As `hasCertificate` unless given. */
  hadCertificate?: boolean;
  /** The result of the verification: 0 when nothing is wrong. 0 with a certificate, 1 without, unless given. */
  verification?: number;
  /** The version, like `"TLSv1.3"`. */
  protocol?: string;
  /** The cipher. */
  cipher?: string;
  /** The common name of the client's certificate. */
  commonName?: string;
  /** The algorithm that signed our certificate. */
  signatureAlgorithm?: string;
  /** The key of our certificate. */
  keyAlgorithm?: string;
  /** The group of the key exchange. */
  group?: string;
  /** The scheme of our signature in the handshake. */
  signatureScheme?: string;
  /** The client's certificate in DER. */
  clientCertificate?: Uint8Array;
}

/**
 * A header of the PROXY protocol to be written.
 *
 * @example
 * ```ts
 * import { encodeProxyHeader } from "@netpoll/netpoll/operations";
 *
 * const line = encodeProxyHeader({
 *   version: 1,
 *   source: "198.51.100.22:35646",
 *   destination: "203.0.113.7:80",
 * });
 * console.log(new TextDecoder().decode(line).trim()); // "PROXY TCP4 198.51.100.22 203.0.113.7 35646 80"
 * ```
 */
export interface ProxyHeaderOptions {
  /** The version of the header. 2 unless given; 1 carries the addresses and nothing else. */
  version?: 1 | 2;
  /**
   * The address of the client, with a numeric host: that of a connection, or `"host:port"`. Without
   * both addresses the connection is the sender's own: version 2 says `LOCAL`, version 1 `UNKNOWN`.
   */
  source?: AddressLike;
  /** The address that the client has connected to; of the same kind. */
  destination?: AddressLike;
  /** The protocol that the client agreed on by ALPN. */
  alpn?: string;
  /** The host that the client asked for. */
  authority?: string;
  /** The number or name of the connection: 128 bytes at the most. */
  uniqueId?: Uint8Array;
  /** The TLS of the client. */
  tls?: ProxyTlsOptions;
  /** The name of the network namespace. */
  namespace?: string;
  /** Further values, after those above. */
  values?: readonly ProxyValue[];
  /** Whether it has a checksum (CRC32c), which the receiver has to verify. False unless given. */
  checksum?: boolean;
}

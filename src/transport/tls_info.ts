/**
 * The facts that a handshake has found out.
 */
import { native } from "../../ffi/load.ts";
import { certificateOf, type PeerCertificate } from "../tls/certificate.ts";
import { askedHost } from "../tls/host.ts";

/** The facts: `enum tls_fact` of libnetpoll.c. */
const Fact = {
  PROTOCOL: 0,
  CIPHER: 1,
  ALPN: 2,
  SERVER_NAME: 3,
  CERTIFICATE: 4,
  IS_RESUMED: 5,
  ASKED_NAME: 6,
} as const;

/** The TLS of a connection. */
export interface TlsInfo {
  /** The version, like `"TLSv1.3"`. */
  readonly protocol: string;
  /** The cipher by its name in the standards, like `"TLS_AES_256_GCM_SHA384"`. */
  readonly cipher: string;
  /** The application protocol that both sides agreed on, or null. */
  readonly alpnProtocol: string | null;
  /** The server name that the client asked for, in small letters; null for none, and for what is no name. */
  readonly serverName: string | null;
  /** Whether it went on with an earlier session. */
  readonly isResumed: boolean;
  /** The certificate that the peer has shown, and that was verified where that was asked for. */
  readonly peerCertificate: PeerCertificate | null;
}

const decoder = new TextDecoder();
/** The longest certificate that is looked at; OpenSSL takes chains of 100 KiB. */
const CERTIFICATE_BYTES_MAX = 100 * 1024;

function about(fd: number, fact: number, bytesMax: number): Uint8Array {
  const out = new Uint8Array(bytesMax);
  return out.slice(0, Math.max(0, native.tlsAbout(fd, fact, out, bytesMax)));
}

function text(fd: number, fact: number): string {
  return decoder.decode(about(fd, fact, 256));
}

/** The name that the client of a handshake asks for, before its certificate is chosen. */
export function askedName(fd: number): string | null {
  return askedHost(text(fd, Fact.ASKED_NAME));
}

/** The TLS of a descriptor, after its handshake. */
export function tlsInfo(fd: number): TlsInfo {
  const isResumed = text(fd, Fact.IS_RESUMED) !== "";
  const raw = about(fd, Fact.CERTIFICATE, CERTIFICATE_BYTES_MAX);
  return {
    protocol: text(fd, Fact.PROTOCOL),
    cipher: text(fd, Fact.CIPHER),
    alpnProtocol: text(fd, Fact.ALPN) || null,
    serverName: askedHost(text(fd, Fact.SERVER_NAME)),
    isResumed,
    peerCertificate: raw.length === 0 ? null : certificateOf(raw),
  };
}

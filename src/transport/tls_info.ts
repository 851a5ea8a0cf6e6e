/**
 * The facts that a handshake has found out.
 */
import { X509Certificate } from "node:crypto";
import { native } from "../../ffi/load.ts";

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

/** A certificate that the peer has shown. */
export interface PeerCertificate {
  /** Whose it is, a line each part. */
  readonly subject: string;
  /** The name of the signer, a line each part. */
  readonly issuer: string;
  /** The names and addresses that it is for, like `"DNS:example.org"`. */
  readonly names: readonly string[];
  /** The SHA-256 of the whole, as pairs of hexadecimal digits with colons between them. */
  readonly fingerprint: string;
  /** Its number, in hexadecimal digits. */
  readonly serialNumber: string;
  /** The first moment at which it is good. */
  readonly validFrom: Date;
  /** The last one. */
  readonly validTo: Date;
  /** The whole of it, in DER: yours. */
  readonly raw: Uint8Array;
}

/** The TLS of a connection. */
export interface TlsInfo {
  /** The version, like `"TLSv1.3"`. */
  readonly protocol: string;
  /** The cipher by its name in the standards, like `"TLS_AES_256_GCM_SHA384"`. */
  readonly cipher: string;
  /** The application protocol that both sides agreed on, or null. */
  readonly alpnProtocol: string | null;
  /** The server name that the client asked for, or null. */
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
  return text(fd, Fact.ASKED_NAME) || null;
}

function certificateOf(raw: Uint8Array): PeerCertificate {
  const read = new X509Certificate(raw);
  return {
    subject: read.subject,
    issuer: read.issuer,
    names: read.subjectAltName === undefined ? [] : read.subjectAltName.split(", "),
    fingerprint: read.fingerprint256,
    serialNumber: read.serialNumber,
    validFrom: new Date(read.validFrom),
    validTo: new Date(read.validTo),
    raw,
  };
}

/** The TLS of a descriptor, after its handshake. */
export function tlsInfo(fd: number): TlsInfo {
  const isResumed = text(fd, Fact.IS_RESUMED) !== "";
  const raw = about(fd, Fact.CERTIFICATE, CERTIFICATE_BYTES_MAX);
  return {
    protocol: text(fd, Fact.PROTOCOL),
    cipher: text(fd, Fact.CIPHER),
    alpnProtocol: text(fd, Fact.ALPN) || null,
    serverName: text(fd, Fact.SERVER_NAME) || null,
    isResumed,
    peerCertificate: raw.length === 0 ? null : certificateOf(raw),
  };
}

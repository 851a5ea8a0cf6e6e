/**
 * Failures of TLS, in words.
 */
import { native } from "../../ffi/load.ts";
import { TlsError, type TlsReason } from "../core/errors.ts";

const numbers = new Int32Array(2);
const text = new Uint8Array(256);
const decoder = new TextDecoder();

/** Reasons of OpenSSL (openssl/sslerr.h). */
const Reason = {
  NO_SUITABLE_KEY_SHARE: 101,
  NO_SUITABLE_SIGNATURE: 118,
  NO_SHARED_CIPHER: 193,
  HTTP_REQUEST: 156,
  CERTIFICATE_VERIFY_FAILED: 134,
  NO_APPLICATION_PROTOCOL: 235,
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 199,
  UNEXPECTED_EOF: 294,
  UNKNOWN_PROTOCOL: 252,
  UNSUPPORTED_PROTOCOL: 258,
  BAD_RECORD_MAC: 281,
  NO_SHARED_SIGNATURE: 376,
  WRONG_VERSION_NUMBER: 267,
  INAPPROPRIATE_FALLBACK: 373,
  VERSION_TOO_LOW: 396,
  /** An alert of the peer is this and its number (RFC 8446 §6). */
  ALERT: 1000,
  ALERT_HANDSHAKE: 1040,
  ALERT_CERTIFICATE_REVOKED: 1044,
  ALERT_CERTIFICATE_EXPIRED: 1045,
  ALERT_UNKNOWN_AUTHORITY: 1048,
  ALERT_VERSION: 1070,
  ALERT_FALLBACK: 1086,
  ALERT_NAME: 1112,
  ALERT_CERTIFICATE_REQUIRED: 1116,
  ALERT_NO_APPLICATION_PROTOCOL: 1120,
  ALERT_LAST: 1255,
  /** Not of OpenSSL: TLS_REASON_IDLE of libnetpoll.c. */
  IDLE: 1 << 20,
} as const;

/** Results of verifying that are about the name (openssl/x509_vfy.h). */
const NAME_MISMATCHES: ReadonlySet<number> = new Set([62, 63, 64]);

function words(fd: number, what: number): string {
  const length = native.tlsFailure(fd, what, numbers, text, text.length);
  return decoder.decode(text.subarray(0, Math.max(0, length)));
}

function reasonOf(reason: number, verify: number): TlsReason {
  if (reason === Reason.CERTIFICATE_VERIFY_FAILED) {
    return NAME_MISMATCHES.has(verify) ? "hostname" : "certificate";
  }
  if (reason === Reason.PEER_DID_NOT_RETURN_A_CERTIFICATE) return "certificate";
  if (reason === Reason.UNEXPECTED_EOF) return "truncated";
  if (reason >= Reason.ALERT && reason <= Reason.ALERT_LAST) return "alert";
  return "protocol";
}

const CURES: Readonly<Record<number, string>> = {
  [Reason.HTTP_REQUEST]: "the peer sent plain HTTP to a TLS port",
  [Reason.WRONG_VERSION_NUMBER]: "the peer does not speak TLS here",
  [Reason.NO_APPLICATION_PROTOCOL]:
    "both sides have no application protocol in common (alpnProtocols)",
  [Reason.UNSUPPORTED_PROTOCOL]:
    "the peer's versions of TLS are not allowed here (versionMin, versionMax)",
  [Reason.VERSION_TOO_LOW]:
    "the peer's versions of TLS are not allowed here (versionMin, versionMax)",
  [Reason.INAPPROPRIATE_FALLBACK]:
    "somebody made both sides use an older version than they have (inappropriate fallback)",
  [Reason.UNKNOWN_PROTOCOL]: "the peer does not speak TLS here",
  [Reason.NO_SHARED_CIPHER]: "both sides have no cipher in common",
  [Reason.NO_SUITABLE_KEY_SHARE]: "both sides have no curve in common",
  [Reason.NO_SUITABLE_SIGNATURE]: "both sides have no signature algorithm in common",
  [Reason.NO_SHARED_SIGNATURE]: "both sides have no signature algorithm in common",
  [Reason.BAD_RECORD_MAC]: "a record was changed, lost or sent twice on its way",
  [Reason.ALERT_HANDSHAKE]:
    "the peer refuses us: it has nothing in common with us, or wants a certificate",
  [Reason.ALERT_CERTIFICATE_REVOKED]: "the peer refuses us: our certificate is revoked",
  [Reason.ALERT_CERTIFICATE_EXPIRED]: "the peer refuses us: our certificate has expired",
  [Reason.ALERT_UNKNOWN_AUTHORITY]:
    "the peer refuses us: it does not know the authority of our certificate",
  [Reason.ALERT_VERSION]:
    "the peer refuses us: our versions of TLS are not allowed there (versionMin, versionMax)",
  [Reason.ALERT_FALLBACK]:
    "the peer refuses us: somebody made us use an older version than both sides have",
  [Reason.ALERT_NAME]:
    "the peer refuses us: it does not have the name that was asked for (serverName)",
  [Reason.ALERT_CERTIFICATE_REQUIRED]:
    "the peer refuses us: it requires a certificate (certificate, key)",
  [Reason.ALERT_NO_APPLICATION_PROTOCOL]:
    "the peer refuses us: both sides have no application protocol in common (alpnProtocols)",
  [Reason.PEER_DID_NOT_RETURN_A_CERTIFICATE]:
    "the client shows no certificate, and one is required",
  [Reason.IDLE]: "the peer sends messages without data, one after another",
  [Reason.UNEXPECTED_EOF]:
    "the peer ended the connection without telling so: what came may not be the whole",
};

/**
 * The error of the call that failed last for a descriptor, or (-1) for a context. `action` says what
 * cannot be done.
 */
export function failureOf(fd: number, action: string): TlsError {
  const message = words(fd, 0);
  const [reason, verify] = [numbers[0]!, numbers[1]!];
  const kind = fd < 0 ? "certificate" : reasonOf(reason, verify);
  const isVerify = reason === Reason.CERTIFICATE_VERIFY_FAILED;
  const said = message || "OpenSSL does not say why";
  const why = isVerify
    ? words(fd, 1)
    : CURES[reason] ?? (kind === "alert" ? `the peer refuses us: ${said}` : said);
  return new TlsError(kind, `Cannot ${action}: ${why}`, {
    cause: new Error(`OpenSSL: ${message}`),
  });
}

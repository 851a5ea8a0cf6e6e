/**
 * The values of a PROXY header of version 2 (the specification, §2.2.1 to §2.2.8): type, length, bytes.
 */
import { Buffer } from "node:buffer";
import { ProxyHeaderError } from "../core/proxy_header_error.ts";
import { PROXY_UNIQUE_ID_BYTES_MAX } from "../core/limits.ts";
import { checkNumber, checkOptions, type Known, show } from "../core/options.ts";
import {
  type ProxyHeader,
  type ProxyHeaderOptions,
  type ProxyTls,
  type ProxyTlsOptions,
  ProxyType,
  type ProxyValue,
} from "./proxy_contract.ts";

/** The bytes before those of a value: its type, and its length. */
const HEAD_BYTES = 3;
const VALUE_BYTES_MAX = 0xffff;
/** The bits of a client: that it has TLS, a certificate over this connection, and one in this session. */
const Client = { TLS: 1, CERTIFICATE: 2, SESSION_CERTIFICATE: 4 } as const;
/** The bytes of the part about TLS before its own values: those bits, and the result of the verification. */
const TLS_HEAD_BYTES = 5;
/** The first byte of a value of AWS and of Azure: what it is. */
const CLOUD_SUBTYPE = 1;

/** The fields of a header that its values fill. */
export type ProxyFields = Omit<
  ProxyHeader,
  "version" | "command" | "source" | "destination" | "headerBytes"
>;

// ---- read ---------------------------------------------------------------------------------------

/** Takes values apart: each has a copy of its bytes. Throws when the last one is not whole. */
function split(bytes: Uint8Array): ProxyValue[] {
  const values: ProxyValue[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes[at + 1]! << 8 | bytes[at + 2]!;
    const from = at + HEAD_BYTES;
    if (from > bytes.length || from + length > bytes.length) {
      throw new ProxyHeaderError("value", `value ${values.length} is longer than the header`);
    }
    values.push({ type: bytes[at]!, bytes: bytes.slice(from, from + length) });
    at = from + length;
  }
  return values;
}

/** The bytes of the first value of a type, which is the one that counts. */
function find(values: readonly ProxyValue[], type: number): Uint8Array | null {
  return values.find((value) => value.type === type)?.bytes ?? null;
}

/** A value that is text. Bytes that are no UTF-8 become U+FFFD, as which they are nobody's name. */
function text(values: readonly ProxyValue[], type: number): string | null {
  const bytes = find(values, type);
  return bytes === null ? null : Buffer.from(bytes).toString();
}

function tlsOf(bytes: Uint8Array): ProxyTls {
  if (bytes.length < TLS_HEAD_BYTES) {
    throw new ProxyHeaderError("value", `the part about TLS has ${bytes.length} bytes, 5 at least`);
  }
  const client = bytes[0]!;
  const values = split(bytes.subarray(TLS_HEAD_BYTES));
  const verification = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const hasCertificate = (client & Client.CERTIFICATE) !== 0;
  const hadCertificate = (client & Client.SESSION_CERTIFICATE) !== 0;
  return {
    // HAProxy says 0 without a certificate as well.
    isVerified: (hasCertificate || hadCertificate) && verification === 0,
    hasCertificate,
    hadCertificate,
    verification,
    protocol: text(values, ProxyType.SSL_VERSION),
    cipher: text(values, ProxyType.SSL_CIPHER),
    commonName: text(values, ProxyType.SSL_CN),
    signatureAlgorithm: text(values, ProxyType.SSL_SIG_ALG),
    keyAlgorithm: text(values, ProxyType.SSL_KEY_ALG),
    group: text(values, ProxyType.SSL_GROUP),
    signatureScheme: text(values, ProxyType.SSL_SIG_SCHEME),
    clientCertificate: find(values, ProxyType.SSL_CLIENT_CERT),
    values,
  };
}

/** Whether the client speaks TLS with the proxy: the part may be there without. */
function hasTls(bytes: Uint8Array | null): bytes is Uint8Array {
  return bytes !== null && (bytes.length < TLS_HEAD_BYTES || (bytes[0]! & Client.TLS) !== 0);
}

/** A value of a cloud's own; null when it has another form, for its type may be somebody else's. */
function ofCloud(values: readonly ProxyValue[], type: number, length?: number): Buffer | null {
  const bytes = values.find((value) =>
    value.type === type && value.bytes[0] === CLOUD_SUBTYPE &&
    (length === undefined || value.bytes.length === length)
  )?.bytes;
  return bytes === undefined ? null : Buffer.from(bytes.subarray(1));
}

/**
 * The fields that the values of a header fill.
 *
 * @throws {ProxyHeaderError} A value is cut off, or one with a name has not its form.
 */
export function readValues(bytes: Uint8Array): ProxyFields {
  const values = split(bytes);
  const uniqueId = find(values, ProxyType.UNIQUE_ID);
  if (uniqueId !== null && uniqueId.length > PROXY_UNIQUE_ID_BYTES_MAX) {
    throw new ProxyHeaderError("value", `the unique id has ${uniqueId.length} bytes, 128 at most`);
  }
  const ssl = find(values, ProxyType.SSL);
  const gcp = find(values, ProxyType.GCP);
  return {
    values,
    alpn: text(values, ProxyType.ALPN),
    authority: text(values, ProxyType.AUTHORITY),
    uniqueId,
    tls: hasTls(ssl) ? tlsOf(ssl) : null,
    namespace: text(values, ProxyType.NETNS),
    awsEndpointId: ofCloud(values, ProxyType.AWS)?.toString("latin1") ?? null,
    azureLinkId: ofCloud(values, ProxyType.AZURE, 5)?.readUInt32LE() ?? null,
    gcpConnectionId: gcp?.length === 8 ? Buffer.from(gcp).readBigUInt64BE() : null,
  };
}

/** The fields of a header that has no values. */
export function noValues(): ProxyFields {
  return readValues(new Uint8Array(0));
}

// ---- written ------------------------------------------------------------------------------------

const TLS_OPTIONS: Known<ProxyTlsOptions> = {
  hasCertificate: "boolean",
  hadCertificate: "boolean",
  verification: 1,
  protocol: 1,
  cipher: 1,
  commonName: 1,
  signatureAlgorithm: 1,
  keyAlgorithm: 1,
  group: 1,
  signatureScheme: 1,
  clientCertificate: 1,
};

function textBytes(name: string, given: unknown): Uint8Array {
  if (typeof given === "string") return Buffer.from(given);
  throw new TypeError(`Cannot set ${name} of a PROXY header to ${show(given)}: it is no string`);
}

function givenBytes(name: string, given: unknown): Uint8Array {
  if (given instanceof Uint8Array) return given;
  throw new TypeError(
    `Cannot set ${name} of a PROXY header to ${show(given)}: it is no Uint8Array`,
  );
}

/** A value as it is sent. */
function written(type: number, bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > VALUE_BYTES_MAX) {
    throw new RangeError(
      `Cannot write a value of ${length} bytes into a PROXY header: ${VALUE_BYTES_MAX} at most`,
    );
  }
  return Buffer.concat([Uint8Array.of(type, length >> 8, length & 0xff), bytes]);
}

function writeTls(options: ProxyTlsOptions): Uint8Array {
  checkOptions("the tls of a PROXY header", options, TLS_OPTIONS);
  const { hasCertificate = false, hadCertificate = hasCertificate, clientCertificate } = options;
  const { verification = hadCertificate ? 0 : 1 } = options;
  const head = Buffer.alloc(TLS_HEAD_BYTES);
  head[0] = Client.TLS | (hasCertificate ? Client.CERTIFICATE : 0) |
    (hadCertificate ? Client.SESSION_CERTIFICATE : 0);
  head.writeUInt32BE(checkNumber("tls.verification", verification, 0, 0xffff_ffff), 1);
  const parts: Uint8Array[] = [head];
  const add = (type: number, name: keyof ProxyTlsOptions) => {
    const given = options[name];
    if (given !== undefined) parts.push(written(type, textBytes(`tls.${name}`, given)));
  };
  add(ProxyType.SSL_VERSION, "protocol");
  add(ProxyType.SSL_CN, "commonName");
  add(ProxyType.SSL_CIPHER, "cipher");
  add(ProxyType.SSL_SIG_ALG, "signatureAlgorithm");
  add(ProxyType.SSL_KEY_ALG, "keyAlgorithm");
  add(ProxyType.SSL_GROUP, "group");
  add(ProxyType.SSL_SIG_SCHEME, "signatureScheme");
  if (clientCertificate !== undefined) {
    const der = givenBytes("tls.clientCertificate", clientCertificate);
    parts.push(written(ProxyType.SSL_CLIENT_CERT, der));
  }
  return Buffer.concat(parts);
}

function ownValues(values: unknown): Uint8Array[] {
  if (values === undefined) return [];
  if (!Array.isArray(values)) {
    throw new TypeError(
      `Cannot use ${show(values)} as the values of a PROXY header: it is no array`,
    );
  }
  return values.map((value: ProxyValue | null) => {
    const { type, bytes } = Object(value) as Partial<ProxyValue>;
    checkNumber("the type of a value", type as number, 0, 0xff);
    if (type === ProxyType.CRC32C) {
      throw new TypeError("Cannot write a checksum as it is given: checksum: true makes it");
    }
    return written(type!, givenBytes("a value", bytes));
  });
}

/** The values of a header as they are sent, without its checksum. */
export function writeValues(options: ProxyHeaderOptions): Uint8Array {
  const { alpn, authority, uniqueId, tls, namespace } = options;
  const parts: Uint8Array[] = [];
  if (alpn !== undefined) parts.push(written(ProxyType.ALPN, textBytes("alpn", alpn)));
  if (authority !== undefined) {
    parts.push(written(ProxyType.AUTHORITY, textBytes("authority", authority)));
  }
  if (uniqueId !== undefined) {
    const id = givenBytes("uniqueId", uniqueId);
    checkNumber("the length of uniqueId", id.length, 0, PROXY_UNIQUE_ID_BYTES_MAX);
    parts.push(written(ProxyType.UNIQUE_ID, id));
  }
  if (tls !== undefined) parts.push(written(ProxyType.SSL, writeTls(tls)));
  if (namespace !== undefined) {
    parts.push(written(ProxyType.NETNS, textBytes("namespace", namespace)));
  }
  return Buffer.concat([...parts, ...ownValues(options.values)]);
}

/**
 * The parts of a certificate, read from its DER. A runtime's own reader would do, were its texts not
 * made for people: in some, a name with a comma or a line break in it reads as two names.
 */
import { createHash } from "node:crypto";

/** A certificate that the peer has shown. */
export interface PeerCertificate {
  /**
   * Whose it is, a line each part, like `"O=Example\nCN=db.example.org"`. Characters that could be
   * taken for another part are written as RFC 2253 has it: `"\\0A"` for a line break.
   */
  readonly subject: string;
  /** The name of the signer, a line each part. */
  readonly issuer: string;
  /**
   * The names and addresses that it is for, like `"DNS:example.org"`, `"IP Address:::1"`,
   * `"email:…"`, `"URI:…"`. Control characters and backslashes are written as in `subject`.
   */
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

/** The tags of DER that certificates are made of (X.690 §8). */
const Tag = {
  UTF8: 0x0c,
  GENERALIZED_TIME: 0x18,
  UNIVERSAL_TEXT: 0x1c,
  BMP_TEXT: 0x1e,
  VERSION: 0xa0,
  EXTENSIONS: 0xa3,
} as const;
/** Texts with a byte a character. */
const LATIN: ReadonlySet<number> = new Set([0x12, 0x13, 0x14, 0x16, 0x1a]);
/** The kinds of a general name (RFC 5280 §4.2.1.6). */
const Name = { EMAIL: 0x81, DNS: 0x82, DIRECTORY: 0xa4, URI: 0x86, IP: 0x87 } as const;
const ALTERNATIVE_NAMES = "2.5.29.17";

/** The short names of a subject's parts (RFC 4519 §2, and what openssl calls them). */
const PARTS: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** A piece of DER. */
interface Piece {
  tag: number;
  bytes: Uint8Array;
}

/** The pieces within bytes; OpenSSL has found them well-formed. Stops where they are not. */
function pieces(bytes: Uint8Array): Piece[] {
  const all: Piece[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const tag = bytes[at]!;
    let length = bytes[at + 1]!;
    at += 2;
    if (length > 0x80) {
      const end = at + length - 0x80;
      for (length = 0; at < end; at++) length = length * 256 + (bytes[at] ?? 0);
    }
    if (at + length > bytes.length) break;
    all.push({ tag, bytes: bytes.subarray(at, at += length) });
  }
  return all;
}

const NOTHING: Piece = { tag: 0, bytes: new Uint8Array(0) };

function hexOf(bytes: Uint8Array): string[] {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0").toUpperCase());
}

function objectId(bytes: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of bytes) {
    number = number * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (numbers.length > 0) numbers.push(number);
    else {numbers.push(
        Math.min(2, Math.floor(number / 40)),
        number - 40 * Math.min(2, Math.floor(number / 40)),
      );}
    number = 0;
  }
  return numbers.join(".");
}

function latin({ bytes }: Piece): string {
  return String.fromCharCode(...bytes);
}

/** A text of characters of so many bytes, the highest first. */
function wide(bytes: Uint8Array, size: number): string {
  let text = "";
  for (let at = 0; at + size <= bytes.length; at += size) {
    let code = 0;
    for (const byte of bytes.subarray(at, at + size)) code = code * 256 + byte;
    text += code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  }
  return text;
}

function textOf(piece: Piece): string {
  const { tag, bytes } = piece;
  if (tag === Tag.UTF8) return new TextDecoder().decode(bytes);
  if (LATIN.has(tag)) return latin(piece);
  if (tag === Tag.BMP_TEXT) return wide(bytes, 2);
  if (tag === Tag.UNIVERSAL_TEXT) return wide(bytes, 4);
  return `#${hexOf(bytes).join("")}`;
}

/** A text in which control characters, and those that match, cannot be taken for something else. */
function escape(text: string, special: RegExp): string {
  return text.replace(special, "\\$&").replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g,
    (letter) => hexOf(new TextEncoder().encode(letter)).map((pair) => `\\${pair}`).join(""),
  );
}

/** The parts of a distinguished name; those that belong together have a plus between them. */
function partsOf({ bytes }: Piece): string[] {
  return pieces(bytes).map((set) =>
    pieces(set.bytes).map((part) => {
      const [type = NOTHING, value = NOTHING] = pieces(part.bytes);
      const id = objectId(type.bytes);
      return `${PARTS[id] ?? id}=${escape(textOf(value), /[\\,+"<>;]|^[ #]| $/g)}`;
    }).join(" + ")
  );
}

function ipOf({ bytes }: Piece): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return `#${hexOf(bytes).join("")}`;
  const groups = Array.from(
    { length: 8 },
    (_, i) => (bytes[2 * i]! << 8 | bytes[2 * i + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

function generalName(piece: Piece): string {
  switch (piece.tag) {
    case Name.DNS:
      return `DNS:${escape(latin(piece), /\\/g)}`;
    case Name.EMAIL:
      return `email:${escape(latin(piece), /\\/g)}`;
    case Name.URI:
      return `URI:${escape(latin(piece), /\\/g)}`;
    case Name.IP:
      return `IP Address:${ipOf(piece)}`;
    case Name.DIRECTORY:
      return `DirName:${partsOf(pieces(piece.bytes)[0] ?? NOTHING).join(", ")}`;
  }
  return `other:#${hexOf(piece.bytes).join("")}`;
}

/** A moment of UTC, whose year has two digits up to 2049 (RFC 5280 §4.1.2.5). */
function timeOf(piece: Piece): Date {
  const text = latin(piece);
  const full = piece.tag === Tag.GENERALIZED_TIME ? text : `${text < "50" ? "20" : "19"}${text}`;
  return new Date(full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}

function namesOf(extensions: Piece): string[] {
  for (const extension of pieces(pieces(extensions.bytes)[0]?.bytes ?? NOTHING.bytes)) {
    const parts = pieces(extension.bytes);
    if (objectId(parts[0]?.bytes ?? NOTHING.bytes) !== ALTERNATIVE_NAMES) continue;
    const value = parts.at(-1) ?? NOTHING;
    return pieces(pieces(value.bytes)[0]?.bytes ?? NOTHING.bytes).map(generalName);
  }
  return [];
}

/** Reads a certificate (RFC 5280 §4.1). */
export function certificateOf(raw: Uint8Array): PeerCertificate {
  const whole = pieces(raw)[0] ?? NOTHING;
  const signed = pieces(pieces(whole.bytes)[0]?.bytes ?? NOTHING.bytes);
  if (signed[0]?.tag === Tag.VERSION) signed.shift();
  const [serial = NOTHING, , issuer = NOTHING, validity = NOTHING, subject = NOTHING] = signed;
  const [from = NOTHING, to = NOTHING] = pieces(validity.bytes);
  return {
    subject: partsOf(subject).join("\n"),
    issuer: partsOf(issuer).join("\n"),
    names: namesOf(signed.find(({ tag }) => tag === Tag.EXTENSIONS) ?? NOTHING),
    fingerprint: hexOf(createHash("sha256").update(raw).digest()).join(":"),
    serialNumber: hexOf(serial.bytes).join("").replace(/^(00)+(?=..)/, ""),
    validFrom: timeOf(from),
    validTo: timeOf(to),
    raw,
  };
}

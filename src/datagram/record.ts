/**
 * Records: `struct datagram` of libnetpoll.c, in tables that both ways share. What recvmmsg fills,
 * sendmmsg takes.
 */
import { Family, type PackedAddress } from "../net/address.ts";

/** The words of a record. */
export const RECORD_WORDS = 20;

/** The places of a record's words. */
export const Word = {
  /** The slab that its bytes lie in. */
  SLAB: 0,
  /** Their offset in it. */
  OFFSET: 1,
  /** The room for what is received. */
  CAPACITY: 2,
  /** The number of bytes; of an error, its number. */
  LENGTH: 3,
  /** The bytes of each datagram of a train but the last; 0 for a single one. Of an error, ee_info. */
  SEGMENT: 4,
  /** The kernel's flags of a message, the type of service in bits 8 to 15, and {@linkcode Flag}. */
  FLAGS: 5,
  /** The port of the other end, and its family in the upper half. */
  END: 6,
  /** The interface that an IPv6 address of one link belongs to. */
  SCOPE: 7,
  /** The address of the other end: one word of IPv4, four of IPv6. */
  ADDRESS: 8,
  /** Our own address, likewise. */
  LOCAL: 12,
  /** The interface that it came through. */
  INTERFACE: 16,
  /** When it came: microseconds since 1970, in two halves. */
  TIME: 17,
  /** Ours: when it was written, in milliseconds that wrap at 2^32. */
  NOTE: 19,
} as const;

/** Bits of {@linkcode Word.FLAGS}. */
export const Flag = {
  /** MSG_TRUNC: it was longer than the room for it. */
  TRUNCATED: 0x20,
  /** Our own address is known. */
  LOCAL: 1 << 16,
  /** Our own address is a group's, or broadcast: nothing is sent from it. */
  GROUP: 1 << 17,
  /** The type of service is to be sent. */
  SERVICE: 1 << 18,
  /** It goes where the socket is connected to. */
  CONNECTED: 1 << 19,
  /** Ours: a train that leaves datagram by datagram. */
  APART: 1 << 20,
} as const;

/** The bit at which the type of service begins, of which ECN is the lowest two bits. */
export const SERVICE_SHIFT = 8;

const PORT_MASK = 0xffff;
const FAMILY_SHIFT = 16;
const PORT_FACTOR = 2 ** 32;
const IPV6_BYTES = 16;

/** A table of so many records. */
export function recordTable(count: number): Uint32Array {
  return new Uint32Array(RECORD_WORDS * count);
}

/** The family of the other end of the record at a word. */
export function familyAt(table: Uint32Array, at: number): number {
  return table[at + Word.END]! >>> FAMILY_SHIFT;
}

/** The other end of the record at a word: a number for IPv4, which no object is made for. */
export function peerAt(table: Uint32Array, at: number): PackedAddress {
  const end = table[at + Word.END]!;
  if (end >>> FAMILY_SHIFT === Family.IPV4) {
    return (end & PORT_MASK) * PORT_FACTOR + table[at + Word.ADDRESS]!;
  }
  return rawAt(table, at, Word.ADDRESS);
}

/** Our own end of the record at a word, with a port that the record does not know. */
export function localAt(table: Uint32Array, at: number, port: number): PackedAddress {
  if (familyAt(table, at) === Family.IPV4) return port * PORT_FACTOR + table[at + Word.LOCAL]!;
  const raw = rawAt(table, at, Word.LOCAL);
  raw[1] = port;
  // An address of one link means something with its interface alone (RFC 4007).
  raw[2] = isLinkLocal(raw[4]!) ? table[at + Word.INTERFACE]! : 0;
  return raw;
}

/** fe80::/10, in the first word of an address as the processor reads it. */
function isLinkLocal(word: number): boolean {
  return (word & 0xc0ff) === 0x80fe;
}

function rawAt(table: Uint32Array, at: number, address: number): Uint32Array {
  const raw = new Uint32Array(4 + IPV6_BYTES / 4);
  const end = table[at + Word.END]!;
  raw[0] = end >>> FAMILY_SHIFT;
  raw[1] = end & PORT_MASK;
  raw[2] = table[at + Word.SCOPE]!;
  raw[3] = IPV6_BYTES;
  for (let i = 0; i < 4; i++) raw[4 + i] = table[at + address + i]!;
  return raw;
}

/** Writes the other end of the record at a word. */
export function putPeer(table: Uint32Array, at: number, peer: PackedAddress): void {
  if (typeof peer === "number") {
    const port = Math.floor(peer / PORT_FACTOR);
    table[at + Word.END] = (Family.IPV4 << FAMILY_SHIFT) + port;
    table[at + Word.ADDRESS] = peer - port * PORT_FACTOR;
    return;
  }
  table[at + Word.END] = (Family.IPV6 << FAMILY_SHIFT) + peer[1]!;
  table[at + Word.SCOPE] = peer[2]!;
  for (let i = 0; i < 4; i++) table[at + Word.ADDRESS + i] = peer[4 + i]!;
}

/** Copies the words of one record to another that say where it goes, and from which address. */
export function copyRoute(from: Uint32Array, at: number, to: Uint32Array, toAt: number): void {
  to[toAt + Word.END] = from[at + Word.END]!;
  to[toAt + Word.ADDRESS] = from[at + Word.ADDRESS]!;
  to[toAt + Word.LOCAL] = from[at + Word.LOCAL]!;
  if (familyAt(from, at) === Family.IPV4) return;
  to[toAt + Word.SCOPE] = from[at + Word.SCOPE]!;
  for (let i = 1; i < 4; i++) {
    to[toAt + Word.ADDRESS + i] = from[at + Word.ADDRESS + i]!;
    to[toAt + Word.LOCAL + i] = from[at + Word.LOCAL + i]!;
  }
}

/** Whether two records of a table go the same way: to one peer, from one address, with the same flags. */
export function isSameRoute(table: Uint32Array, a: number, b: number): boolean {
  const flags = table[a + Word.FLAGS]!;
  if (
    flags !== table[b + Word.FLAGS]! || table[a + Word.END]! !== table[b + Word.END]! ||
    table[a + Word.ADDRESS]! !== table[b + Word.ADDRESS]!
  ) return false;
  const hasLocal = (flags & Flag.LOCAL) !== 0;
  if (hasLocal && table[a + Word.LOCAL]! !== table[b + Word.LOCAL]!) return false;
  if (familyAt(table, a) === Family.IPV4) return true;
  if (table[a + Word.SCOPE]! !== table[b + Word.SCOPE]!) return false;
  for (let i = 1; i < 4; i++) {
    if (table[a + Word.ADDRESS + i]! !== table[b + Word.ADDRESS + i]!) return false;
    if (hasLocal && table[a + Word.LOCAL + i]! !== table[b + Word.LOCAL + i]!) return false;
  }
  return true;
}

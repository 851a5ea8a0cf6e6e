/**
 * Packets of TFTP (RFC 1350, options RFC 2347 to 2349).
 */
import { Buffer } from "node:buffer";

/** Operations. */
export const Op = { READ: 1, WRITE: 2, DATA: 3, ACK: 4, ERROR: 5, OPTIONS: 6 } as const;

/** Codes of errors. */
export const Fault = {
  OTHER: 0,
  NOT_FOUND: 1,
  REFUSED: 2,
  NO_ROOM: 3,
  ILLEGAL: 4,
  UNKNOWN_PORT: 5,
  EXISTS: 6,
} as const;

/** The most that a request has (RFC 2347). */
const REQUEST_BYTES_MAX = 512;

/** A request to read a file, or to write one. */
export interface Request {
  readonly op: typeof Op.READ | typeof Op.WRITE;
  readonly name: string;
  /** "octet" are the bytes as they are, "netascii" is text with the lines of networks. */
  readonly mode: string;
  /** Options by their names in lower case. */
  readonly options: ReadonlyMap<string, string>;
}

/** The operation and the number behind it; zeros for what is no packet. */
export function headOf(bytes: Uint8Array): { op: number; number: number } {
  if (bytes.length < 4) return { op: 0, number: 0 };
  return { op: bytes[0]! << 8 | bytes[1]!, number: bytes[2]! << 8 | bytes[3]! };
}

/** True if a packet means to be a request. */
export function isRequest(bytes: Uint8Array): boolean {
  const { op } = headOf(bytes);
  return op === Op.READ || op === Op.WRITE;
}

/** Reads a request. Null where it is none. */
export function readRequest(bytes: Uint8Array): Request | null {
  if (!isRequest(bytes)) return null;
  const { op } = headOf(bytes) as Pick<Request, "op">;
  if (bytes.at(-1) !== 0 || bytes.length > REQUEST_BYTES_MAX) return null;
  const [name, mode, ...rest] = Buffer.from(bytes.subarray(2, -1)).toString().split("\0");
  if (!name || !mode || rest.length % 2 !== 0) return null;
  const options = new Map<string, string>();
  for (let i = 0; i < rest.length; i += 2) options.set(rest[i]!.toLowerCase(), rest[i + 1]!);
  return { op, name, mode: mode.toLowerCase(), options };
}

function packet(op: number, ...parts: (number | string | Uint8Array)[]): Uint8Array {
  const two = (value: number) => Buffer.of(value >> 8 & 0xff, value & 0xff);
  const pieces = parts.map((part) => typeof part === "number" ? two(part) : Buffer.from(part));
  return Buffer.concat([two(op), ...pieces]);
}

/** A block of the file; a short one is the last. Its number begins again behind 65535. */
export function dataPacket(block: number, bytes: Uint8Array): Uint8Array {
  return packet(Op.DATA, block & 0xffff, bytes);
}

/** Says that a block has come; 0 is the request to write. */
export function ackPacket(block: number): Uint8Array {
  return packet(Op.ACK, block & 0xffff);
}

/** The end of a transfer that cannot be. */
export function errorPacket(code: number, text: string): Uint8Array {
  return packet(Op.ERROR, code, `${text}\0`);
}

/** The options that are granted. */
export function optionsPacket(options: ReadonlyMap<string, string>): Uint8Array {
  return packet(Op.OPTIONS, [...options].map(([name, value]) => `${name}\0${value}\0`).join(""));
}

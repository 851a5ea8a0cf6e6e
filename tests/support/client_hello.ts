/**
 * First messages of clients, as no library makes them (RFC 8446 §4.1.2).
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";

/** The parts that a test may have otherwise. */
export interface HelloParts {
  /** The version of before 1.3: 0x0303 is TLS 1.2. */
  version?: number;
  /** Versions as 1.3 offers them; none unless given. */
  versions?: readonly number[];
  ciphers?: readonly number[];
  compressions?: readonly number[];
  /** The bytes of the server name; none unless given. */
  serverName?: string | Uint8Array;
  /** The whole extension of server names, in place of it. */
  serverNames?: Uint8Array;
  /** The whole extension of application protocols. */
  protocols?: Uint8Array;
  /** More extensions, as (kind, bytes). */
  more?: readonly (readonly [number, Uint8Array])[];
}

function word(value: number): number[] {
  return [value >> 8 & 255, value & 255];
}

/** Bytes with their length before them, in so many bytes. */
export function sized(count: 1 | 2 | 3, content: Uint8Array | readonly number[]): Buffer {
  const { length } = content;
  const size = [length >> 16 & 255, length >> 8 & 255, length & 255].slice(3 - count);
  return Buffer.concat([Buffer.from(size), Buffer.from(content)]);
}

/** The extension of one server name. */
export function serverNameOf(name: string | Uint8Array): Buffer {
  return sized(2, Buffer.concat([Buffer.from([0]), sized(2, Buffer.from(name as Uint8Array))]));
}

/** A message with its kind and length. */
export function helloMessage(parts: HelloParts = {}): Buffer {
  const { version = 0x0303, versions, compressions = [0], serverName } = parts;
  const ciphers = parts.ciphers ?? [0xc02b, 0xc02f, 0x1301, 0x1302];
  const names = parts.serverNames ?? (serverName === undefined ? null : serverNameOf(serverName));
  const share = Buffer.from([0, 0x1d, 0, 32, ...randomBytes(32)]);
  const extensions: (readonly [number, Uint8Array])[] = [
    ...(names === null ? [] : [[0, names] as const]),
    [10, sized(2, [0, 0x1d, 0, 0x17])],
    [11, sized(1, [0])],
    [13, sized(2, [4, 3, 8, 4, 4, 1])],
    ...(versions === undefined
      ? []
      : [[43, sized(1, versions.flatMap(word))], [51, sized(2, share)]] as const),
    ...(parts.protocols === undefined ? [] : [[16, parts.protocols] as const]),
    ...(parts.more ?? []),
  ];
  const body = Buffer.concat([
    Buffer.from(word(version)),
    randomBytes(32),
    Buffer.from([0]),
    sized(2, ciphers.flatMap(word)),
    sized(1, compressions),
    sized(
      2,
      Buffer.concat(
        extensions.flatMap(([kind, bytes]) => [Buffer.from(word(kind)), sized(2, bytes)]),
      ),
    ),
  ]);
  return Buffer.concat([Buffer.from([1]), sized(3, body)]);
}

/** A message in records, of so many bytes at most. */
export function inRecords(message: Uint8Array, bytesMax = 16_384): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += bytesMax) {
    const part = message.subarray(at, at + bytesMax);
    records.push(Buffer.from([22, 3, 1]), sized(2, part));
  }
  return Buffer.concat(records);
}

/** The first message of a client, in records. */
export function clientHello(parts: HelloParts = {}): Buffer {
  return inRecords(helloMessage(parts));
}

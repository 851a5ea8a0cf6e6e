/**
 * The records that the DNS example knows itself.
 */
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { type Answer, Type } from "./message.ts";

const SECONDS = 60;
const TEXT_BYTES_MAX = 255;

function ipv4(text: string): Uint8Array {
  return Uint8Array.from(text.split("."), Number);
}

function ipv6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const words = (part: string) =>
    part === "" ? [] : part.split(":").map((word) => parseInt(word, 16));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const all = [...before, ...new Array(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

function text(value: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(value).subarray(0, TEXT_BYTES_MAX));
  return Uint8Array.of(bytes.length, ...bytes);
}

/** Names, and what is known of them. */
export class Zone {
  readonly #records = new Map<string, Answer[]>();

  /**
   * Adds a record: an IPv4 or IPv6 address, or any other text.
   *
   * @throws {TypeError} It is no "NAME=VALUE".
   */
  add(record: string): void {
    const [, name, value] = /^([^=]+)=(.*)$/.exec(record) ?? [];
    if (name === undefined || value === undefined) {
      throw new TypeError(`Cannot use "${record}" as a record: it is NAME=VALUE`);
    }
    const key = name.toLowerCase();
    const version = value.includes("%") || value.includes(".") && value.includes(":")
      ? 0
      : isIP(value);
    const answer = version === 4
      ? { type: Type.A, seconds: SECONDS, data: ipv4(value) }
      : version === 6
      ? { type: Type.AAAA, seconds: SECONDS, data: ipv6(value) }
      : { type: Type.TXT, seconds: SECONDS, data: text(value) };
    this.#records.set(key, [...this.#records.get(key) ?? [], answer]);
  }

  /** The records of a name and a type. Null for a name that is not known. */
  find(name: string, type: number): readonly Answer[] | null {
    const all = this.#records.get(name);
    if (all === undefined) return null;
    return type === Type.ANY ? all : all.filter((answer) => answer.type === type);
  }
}

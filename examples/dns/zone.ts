/**
 * The records that the DNS example knows itself.
 */
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { type Answer, Type } from "./message.ts";

const SECONDS = 60;
const TEXT_BYTES_MAX = 255;
const NAME_BYTES_MAX = 253;
const LABEL = /^[\w-]{1,63}$/;

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
  const bytes = Buffer.from(value);
  if (bytes.length > TEXT_BYTES_MAX) {
    throw new RangeError(`Cannot use a text of ${bytes.length} bytes: ${TEXT_BYTES_MAX} at most`);
  }
  return Uint8Array.of(bytes.length, ...bytes);
}

/** A name as it is looked up: in lower case, without a dot at its end. */
function labelsOf(name: string): string[] {
  const labels = name.toLowerCase().replace(/\.$/, "").split(".");
  if (name.length <= NAME_BYTES_MAX && labels.every((label) => LABEL.test(label))) return labels;
  throw new TypeError(
    `Cannot use "${name}" as a name: it has labels of 1 to 63 letters and digits`,
  );
}

/** Names, and what is known of them. */
export class Zone {
  readonly #records = new Map<string, Answer[]>();
  /** Names that others end with: they exist, without records of their own (RFC 8020). */
  readonly #parents = new Set<string>([""]);

  /**
   * Adds a record: an IPv4 or IPv6 address, or any other text.
   *
   * @throws {TypeError} It is no "NAME=VALUE".
   * @throws {RangeError} The text is too long.
   */
  add(record: string): void {
    const [, given, value] = /^([^=]+)=(.*)$/s.exec(record) ?? [];
    if (given === undefined || value === undefined) {
      throw new TypeError(`Cannot use "${record}" as a record: it is NAME=VALUE`);
    }
    const labels = labelsOf(given);
    for (let i = 1; i < labels.length; i++) this.#parents.add(labels.slice(i).join("."));
    const version = value.includes("%") || value.includes(".") && value.includes(":")
      ? 0
      : isIP(value);
    const answer = version === 4
      ? { type: Type.A, seconds: SECONDS, data: ipv4(value) }
      : version === 6
      ? { type: Type.AAAA, seconds: SECONDS, data: ipv6(value) }
      : { type: Type.TXT, seconds: SECONDS, data: text(value) };
    const name = labels.join(".");
    this.#records.set(name, [...this.#records.get(name) ?? [], answer]);
  }

  /**
   * The records of a name and a type. Null for a name that is not known. Whoever asks for any type
   * gets one, so that a short question has no long answer (RFC 8482).
   */
  find(name: string, type: number): readonly Answer[] | null {
    const all = this.#records.get(name);
    const wanted = type === Type.ANY ? all?.[0]?.type : type;
    return all?.filter((answer) => answer.type === wanted) ?? null;
  }

  /** True if other names end with this one. */
  isParent(name: string): boolean {
    return this.#parents.has(name);
  }
}

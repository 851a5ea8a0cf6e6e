/**
 * One direction of a stream, as the programs at its ends see it: every byte says where it stands.
 */
import { machine } from "./machine.ts";

const BYTES_MAX = 1 << 19;

/** Printable bytes without a period. */
function pattern(): Uint8Array {
  const bytes = new Uint8Array(BYTES_MAX);
  let state = 1;
  for (let i = 0; i < BYTES_MAX; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    bytes[i] = 0x20 + (state >>> 16) % 0x5e;
  }
  return bytes;
}

/** The bytes of all directions, each from somewhere else on. */
export const PATTERN: Uint8Array = pattern();
/** The most that is sent one way. */
export const TRACK_BYTES_MAX = 1 << 18;

/** What was written one way, and what was read. */
export class Track {
  readonly base: number;
  /** Bytes that the sender has written, and of them those that it has flushed. */
  written = 0;
  flushed = 0;
  /** Bytes that the receiver has read. */
  seen = 0;

  constructor(base: number = machine.random.below(1 << 18)) {
    this.base = base;
  }

  /** The next bytes to be written, from `ahead` bytes behind the last one on. */
  take(count: number, ahead = 0): Uint8Array {
    const from = this.base + this.written + ahead;
    return PATTERN.subarray(from, from + count);
  }

  /** How many more may be written. */
  get left(): number {
    return TRACK_BYTES_MAX - this.written;
  }

  /** Looks at bytes that were read, `ahead` bytes behind the last ones. */
  look(bytes: Uint8Array, who: string, ahead = 0): void {
    const from = this.base + this.seen + ahead;
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] === PATTERN[from + i]) continue;
      const at = this.seen + ahead + i;
      return machine.violate(`${who} reads a wrong byte at ${at} of ${this.flushed} flushed`);
    }
  }

  /** Bytes were read. */
  see(bytes: Uint8Array, who: string): void {
    this.look(bytes, who);
    this.seen += bytes.length;
    if (this.seen > this.flushed) {
      machine.violate(`${who} reads ${this.seen} bytes, and ${this.flushed} were flushed`);
    }
  }
}

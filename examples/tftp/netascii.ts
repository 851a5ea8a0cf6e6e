/**
 * The text of networks: a line ends with CR LF, and a CR that ends none is CR NUL (RFC 764).
 */
const LF = 10;
const CR = 13;

/** Text of this machine as networks have it. */
export function toNetwork(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of bytes) {
    if (byte === LF) out.push(CR, LF);
    else if (byte === CR) out.push(CR, 0);
    else out.push(byte);
  }
  return Uint8Array.from(out);
}

/** Text of networks as this machine has it, piece by piece: a CR may be the last byte of one. */
export class FromNetwork {
  #isAfterCr = false;

  /** The text of the next piece. */
  next(bytes: Uint8Array): Uint8Array {
    const out: number[] = [];
    for (const byte of bytes) {
      if (this.#isAfterCr && byte !== LF && byte !== 0) out.push(CR);
      const isCr = byte === CR;
      if (!isCr) out.push(this.#isAfterCr && byte === 0 ? CR : byte);
      this.#isAfterCr = isCr;
    }
    return Uint8Array.from(out);
  }

  /** The rest, when there are no more. */
  end(): Uint8Array {
    return this.#isAfterCr ? Uint8Array.of(CR) : new Uint8Array(0);
  }
}

/**
 * Arrays that say of themselves what is not so.
 */

/** An array of `count` bytes "A" whose own properties say that it has `says` of them, elsewhere. */
export function spoofed(count: number, says: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count).fill(65);
  const lies = { length: says, byteLength: says, byteOffset: 7, buffer: new ArrayBuffer(says) };
  for (const [name, value] of Object.entries(lies)) Object.defineProperty(bytes, name, { value });
  return bytes;
}

/** An array of a class that lies, too, and whose methods do something else. */
export class Liar extends Uint8Array {
  override get length(): number {
    return 1_000_000;
  }
  override get byteLength(): number {
    return 1_000_000;
  }
  override set(): void {}
  override subarray(): never {
    throw new Error("nobody asked");
  }
  override includes(): boolean {
    return false;
  }
}

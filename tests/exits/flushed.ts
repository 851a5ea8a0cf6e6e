/**
 * A file in which a process notes what its flushes have resolved for. The kernel keeps it whatever
 * becomes of the process, SIGKILL included.
 */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync, writeSync } from "node:fs";

const COUNT_BYTES = 8;

/** How many bytes each connection has flushed, by its number. */
export class FlushedFile {
  #fd: number;
  readonly #count: Buffer = Buffer.alloc(COUNT_BYTES);

  /** Opens a file that is there, or makes one. */
  constructor(path: string) {
    this.#fd = openSync(path, "a+"); // so that it is made where there is none
    closeSync(this.#fd);
    this.#fd = openSync(path, "r+");
  }

  /** Notes a total. */
  write(id: number, bytes: number): void {
    this.#count.writeDoubleLE(bytes);
    writeSync(this.#fd, this.#count, 0, COUNT_BYTES, id * COUNT_BYTES);
  }

  /** A total that was noted; 0 if none was. */
  read(id: number): number {
    const count = readSync(this.#fd, this.#count, 0, COUNT_BYTES, id * COUNT_BYTES);
    return count < COUNT_BYTES ? 0 : this.#count.readDoubleLE();
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

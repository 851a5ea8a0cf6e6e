/**
 * Lines to a file, many at a time: while some are being written, others gather.
 */

/** So much may wait to be written; then those who bring more wait as well. */
const WAITING_CHARS_MAX = 4 << 20;

/** A file, as far as it is needed here. */
export interface LogFile {
  appendFile(text: string): Promise<unknown>;
  sync(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** A file that grows. */
export class Batches {
  /** The number of writes so far. */
  writeCount = 0;
  readonly #file: LogFile;
  readonly #onError: (error: unknown) => void;
  #waiting = "";
  /** The end of all writes; null while there is nothing to write. */
  #writing: Promise<void> | null = null;
  /** The end of the write that is under way. */
  #batch = Promise.withResolvers<void>();
  #isBroken = false;

  /** Appends to a file. `onError` hears that it cannot be written to: nothing is, from then on. */
  constructor(file: LogFile, onError: (error: unknown) => void) {
    this.#file = file;
    this.#onError = onError;
  }

  /** True when so much waits that `room()` should be waited for. */
  get isFull(): boolean {
    return this.#waiting.length > WAITING_CHARS_MAX;
  }

  /** Adds a line, without its end. */
  add(line: string): void {
    if (this.#isBroken) return;
    this.#waiting += line + "\n";
    this.#writing ??= this.#write();
  }

  /** Resolves when a batch has been written: there is room then, or nothing is kept any more. */
  room(): Promise<void> {
    return this.#batch.promise;
  }

  /** Resolves when all is written, and on the disk. */
  async close(): Promise<void> {
    await this.#writing;
    if (!this.#isBroken) await this.#file.sync();
    await this.#file.close();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // the rest of what has come just now belongs to the first batch
    while (this.#waiting !== "") {
      const batch = this.#waiting;
      this.#waiting = "";
      this.writeCount += 1;
      try {
        await this.#file.appendFile(batch);
      } catch (error) {
        this.#isBroken = true;
        this.#waiting = "";
        this.#onError(error);
      }
      this.#batch.resolve();
      this.#batch = Promise.withResolvers();
    }
    this.#writing = null;
  }
}

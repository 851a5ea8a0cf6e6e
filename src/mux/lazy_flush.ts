/**
 * One flush for all that is written until the running code has returned.
 */
import { ignore } from "../core/promises.ts";
import type { Writer } from "../buffer/writer.ts";

/** Flushes a writer soon, however often it is asked to. */
export class LazyFlush {
  readonly #writer: Writer;
  #isPlanned = false;
  readonly #onTask = () => this.now();

  /** Flushes this writer, when it is asked to. */
  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** Plans to send what was written. */
  plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(this.#onTask);
  }

  /** Does now what was planned: the code that wrote is done. */
  now(): void {
    if (!this.#isPlanned) return;
    this.#isPlanned = false;
    // The reader of the connection learns why it failed.
    this.#writer.flush().catch(ignore);
  }
}

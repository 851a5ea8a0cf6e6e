/**
 * A Node stream as a source of bytes.
 */
import { EofError } from "../core/errors.ts";
import type { Pieces } from "./source_reader.ts";

/** What is used of a `Readable` of node:stream; sockets of node:net and node:tls are some. */
export interface NodeReadable {
  /** Whether everything was read, the end included. */
  readonly readableEnded: boolean;
  /** Whether it is over. */
  readonly destroyed: boolean;
  /** Why it failed. */
  readonly errored?: Error | null;
  /** Of a Duplex: whether its other side can still be written to. */
  readonly writable?: boolean;
  /** What is buffered, or null. */
  read(): unknown;
  /** Lets the rest come, and be dropped. */
  resume(): unknown;
  /** Ends it, both sides of it. */
  destroy(): unknown;
  /** Listens. */
  on(event: "readable" | "end" | "error" | "close", listener: (error: Error) => void): unknown;
  /** Does so no longer. */
  off(event: "readable", listener: () => void): unknown;
}

/** Whether this is a `Readable` of node:stream. */
export function isNodeReadable(source: object): source is NodeReadable {
  const { read, on, off, readableEnded } = source as Partial<NodeReadable>;
  return typeof read === "function" && typeof on === "function" && typeof off === "function" &&
    typeof readableEnded === "boolean";
}

/**
 * Takes pieces of a stream when they are asked for. Its own async iterator would destroy a socket at
 * the peer's end, and with it the answer that is still to be sent.
 */
export class NodePieces implements Pieces {
  readonly #stream: NodeReadable;
  #end: { readonly error: unknown } | null = null;
  /** Called when there may be more, or an end. */
  #tell: (() => void) | null = null;
  readonly #onReadable = () => this.#tell?.();

  /** The pieces of a stream, whose errors are the reader's from now on. */
  constructor(stream: NodeReadable) {
    this.#stream = stream;
    stream.on("readable", this.#onReadable);
    stream.on("end", () => this.#over(null));
    // An error that nobody listens for ends the process; this stays, since a socket may fail late.
    stream.on("error", (error) => this.#over(error));
    stream.on("close", () => this.#over(cutShort()));
    if (stream.readableEnded) this.#over(null);
    else if (stream.destroyed) this.#over(stream.errored ?? cutShort());
  }

  #over(error: unknown): void {
    this.#end ??= { error };
    this.#tell?.();
  }

  async next(): Promise<{ done?: boolean; value?: Uint8Array }> {
    for (;;) {
      // What came before it failed or was destroyed is still there.
      const value = this.#stream.read();
      if (value !== null) return { value: value as Uint8Array };
      if (this.#end !== null) {
        if (this.#end.error === null) return { done: true };
        throw this.#end.error;
      }
      await new Promise<void>((resolve) => this.#tell = resolve);
      this.#tell = null;
    }
  }

  /** A stream that only reads is destroyed. Of a Duplex the rest is dropped: its writer goes on. */
  end(): void {
    const stream = this.#stream;
    this.#over(null);
    stream.off("readable", this.#onReadable);
    if (stream.writable === true) stream.resume();
    else stream.destroy();
  }
}

/** With a cause: it is no ordinary end. */
function cutShort(): EofError {
  const cause = new Error("the stream was destroyed");
  return new EofError("Cannot read more: the stream was destroyed before its end", { cause });
}

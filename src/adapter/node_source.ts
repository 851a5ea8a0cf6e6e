/**
 * A Node stream as a source of bytes.
 */
import { type EndingStream, endOf, type NodeEnd } from "./node_end.ts";
import type { Pieces } from "./contract.ts";

/** The part of a `Readable` of node:stream that is used; sockets of node:net and node:tls are some. */
export interface NodeReadable extends EndingStream {
  /** Whether everything was read, the end included. */
  readonly readableEnded: boolean;
  /** Of a Duplex: whether its other side can still be written to. */
  readonly writable?: boolean;
  /** The buffered bytes, or null. */
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
  readonly #end: NodeEnd;
  #isClosed = false;
  /** Called when there may be more, or an end. */
  #tell: (() => void) | null = null;
  readonly #onChange = () => this.#tell?.();

  /** The pieces of a stream, whose errors are the reader's from now on. */
  constructor(stream: NodeReadable) {
    this.#stream = stream;
    this.#end = endOf(stream);
    this.#end.listeners.add(this.#onChange);
    stream.on("readable", this.#onChange);
  }

  async next(): Promise<{ done?: boolean; value?: Uint8Array }> {
    for (;;) {
      if (this.#isClosed) return { done: true };
      // The bytes that came before it failed or was destroyed are still there.
      const value = this.#stream.read();
      if (value !== null) return { value: value as Uint8Array };
      const end = this.#end.read;
      if (end !== null) {
        if (end.error === null) return { done: true };
        throw end.error;
      }
      await new Promise<void>((resolve) => this.#tell = resolve);
      this.#tell = null;
    }
  }

  /** A stream that only reads is destroyed. Of a Duplex the rest is dropped: its writer goes on. */
  end(): void {
    const stream = this.#stream;
    this.#isClosed = true;
    this.#end.listeners.delete(this.#onChange);
    stream.off("readable", this.#onChange);
    this.#tell?.();
    if (stream.writable === true) stream.resume();
    else stream.destroy();
  }
}

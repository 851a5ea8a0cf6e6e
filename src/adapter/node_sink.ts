/**
 * A Node stream as a sink of bytes.
 */
import { type EndingStream, endOf, type NodeEnd } from "./node_end.ts";
import type { ByteSink } from "./contract.ts";

/** The part of a `Writable` of node:stream that is used; sockets of node:net and node:tls are some. */
export interface NodeWritable extends EndingStream {
  /** Whether `end()` was called, and everything has left. */
  readonly writableFinished: boolean;
  /** Takes bytes, and calls back when they have left or will not. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean;
  /** Nothing more comes; calls back when everything has left or will not. */
  end(done: (error?: Error | null) => void): unknown;
}

/** Whether this is a `Writable` of node:stream. */
export function isNodeWritable(sink: object): sink is NodeWritable {
  const { write, end, on, writableFinished } = sink as Partial<NodeWritable>;
  return typeof write === "function" && typeof end === "function" && typeof on === "function" &&
    typeof writableFinished === "boolean";
}

/**
 * Gives a stream one piece at a time: the next when its callback says that this one has left. What
 * `write` returns cannot hold anybody back, the callback can.
 */
export class NodeSink implements ByteSink {
  readonly #stream: NodeWritable;
  readonly #end: NodeEnd;

  /** A sink over a stream, whose errors are the sink's from now on. */
  constructor(stream: NodeWritable) {
    this.#stream = stream;
    this.#end = endOf(stream);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#until((done) => this.#stream.write(bytes, done));
  }

  /** Ends the stream. Resolves when the end has left: of a Duplex the other side goes on. */
  close(): Promise<void> {
    if (this.#stream.writableFinished) return Promise.resolve();
    return this.#until((done) => this.#stream.end(done));
  }

  /** Some streams never call back once they are destroyed; "close" and "error" are told by all. */
  async #until(begin: (done: (error?: Error | null) => void) => void): Promise<void> {
    const end = this.#end;
    if (end.write !== null) throw end.write.error;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onEnd = () => {
      if (end.write !== null) reject(end.write.error);
    };
    end.listeners.add(onEnd);
    try {
      begin((error) => error == null ? resolve() : reject(end.write?.error ?? error));
      await promise;
    } finally {
      end.listeners.delete(onEnd);
    }
  }
}

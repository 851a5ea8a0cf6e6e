/**
 * A Node stream as a sink of bytes.
 */
import { NetpollError } from "../core/errors.ts";
import type { ByteSink } from "./sink_writer.ts";

/** What is used of a `Writable` of node:stream; sockets of node:net and node:tls are some. */
export interface NodeWritable {
  /** Whether `end()` was called, and everything has left. */
  readonly writableFinished: boolean;
  /** Whether it is over. */
  readonly destroyed: boolean;
  /** Why it failed. */
  readonly errored?: Error | null;
  /** Takes bytes, and calls back when they have left or will not. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean;
  /** Nothing more comes; calls back when everything has left or will not. */
  end(done: (error?: Error | null) => void): unknown;
  /** Listens. */
  on(event: "error" | "close", listener: (error: Error) => void): unknown;
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
  #failure: { readonly error: unknown } | null = null;
  /** Ends the call that is under way. */
  #settle: ((error: unknown) => void) | null = null;

  /** A sink over a stream, whose errors are the sink's from now on. */
  constructor(stream: NodeWritable) {
    this.#stream = stream;
    // An error that nobody listens for ends the process; these stay, since a socket may fail late.
    stream.on("error", (error) => this.#fail(error));
    stream.on("close", () => this.#fail(closed()));
    if (stream.destroyed) this.#fail(stream.errored ?? closed());
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#settle?.(this.#failure.error);
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
  #until(begin: (done: (error?: Error | null) => void) => void): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    return new Promise<void>((resolve, reject) => {
      this.#settle = (error) => {
        this.#settle = null;
        reject(error);
      };
      begin((error) => {
        if (this.#settle === null) return; // it was told of an error before
        if (error != null) return this.#fail(error);
        this.#settle = null;
        resolve();
      });
    });
  }
}

function closed(): NetpollError {
  return new NetpollError("Cannot write: the stream was destroyed");
}

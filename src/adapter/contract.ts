/**
 * The shapes of sources and sinks.
 */

/** A sink of bytes. */
export interface ByteSink {
  /**
   * Takes bytes, **owned** by the sink from then on. A number that it returns, or resolves to, is how
   * many of them it took: it is called again with the rest.
   */
  write(bytes: Uint8Array): unknown;
  /**
   * Waits until the sink takes more. Asked when `write` took fewer bytes than it was given, as a socket
   * does that tells by an event of its own when it can go on.
   */
  drained?(): unknown;
  /** Nothing more comes. */
  close?(): unknown;
  /** Nothing more comes this way: called instead of `close` where a sink has both, as a socket. */
  closeWrite?(): unknown;
}

/** A source that fills the caller's memory, as a connection or a file of Deno does. */
export interface ByteReader {
  /**
   * Resolves to how many bytes it has put there, or to null at the end. The memory is **lent** until
   * then.
   */
  read(into: Uint8Array): Promise<number | null>;
}

/** A source of bytes, in pieces of any size. */
export type ByteSource = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | ByteReader;

/** A source, as a reader asks it. */
export interface Pieces {
  /** The next piece, or that there is none. */
  next(): Promise<{ done?: boolean; value?: Uint8Array }>;
  /** No more is wanted, or no more comes. */
  end(isOver: boolean): unknown;
}

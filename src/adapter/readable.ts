/**
 * A reader as what the web platform reads from: an async iterable, or a stream.
 */
import type { Reader } from "../buffer/reader.ts";
import { EofError } from "../core/errors.ts";
import { READ_BYTES_MAX } from "../core/limits.ts";
import { show } from "../core/options.ts";

function checkReader(reader: Reader): void {
  if (typeof reader?.wait === "function") return;
  throw new TypeError(`Cannot read ${show(reader)}: it is no reader, as connection.reader is`);
}

/** Waits for more; false at the end. A reset is an error, not an end. */
async function hasMore(reader: Reader, signal?: AbortSignal): Promise<boolean> {
  try {
    await reader.wait(1, signal === undefined ? undefined : { signal });
    return true;
  } catch (error) {
    if (error instanceof EofError && error.cause === undefined) return false;
    throw error;
  }
}

/** As many bytes as are there. */
function take(reader: Reader): Uint8Array {
  const bytes = reader.readBinary(Math.min(reader.length, READ_BYTES_MAX));
  reader.release();
  return bytes;
}

/**
 * Everything that a reader receives, piece by piece as it comes, until the peer ends its side. The
 * pieces are **owned**: copies, up to 1 MiB each. Calls `release()`: what the reader lent before is
 * over.
 *
 * Throws what `wait` rejects with, but for the ordinary `EofError`. Stopping early leaves the
 * reader usable.
 *
 * @example
 * ```ts
 * import { bytesOf, readerFrom } from "@netpoll/netpoll/adapter";
 *
 * const reader = readerFrom(new Blob(["hello"]).stream());
 * for await (const bytes of bytesOf(reader)) console.log(bytes.length); // 5
 * ```
 *
 * @throws {TypeError} It is no reader. Told at once, before a piece is asked for.
 */
export function bytesOf(reader: Reader): AsyncGenerator<Uint8Array, void, void> {
  checkReader(reader); // here, for a generator would not begin before its first piece is asked for
  return pieces(reader);
}

async function* pieces(reader: Reader): AsyncGenerator<Uint8Array, void, void> {
  while (await hasMore(reader)) yield take(reader);
}

/**
 * A reader as a `ReadableStream`, for `Response`, `pipeTo` and the like. Reads nothing before it is
 * asked to. Its pieces are **owned** copies, as those of {@linkcode bytesOf}. Cancelling it ends
 * its wait and leaves the reader usable, with every byte that the stream did not get.
 *
 * @example
 * ```ts
 * import { readableOf, readerFrom } from "@netpoll/netpoll/adapter";
 *
 * const reader = readerFrom(new Blob(["hello"]).stream());
 * console.log(await new Response(readableOf(reader)).text()); // "hello"
 * ```
 */
export function readableOf(reader: Reader): ReadableStream<Uint8Array> {
  checkReader(reader);
  const cancelled = new AbortController();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const more = await hasMore(reader, cancelled.signal);
      if (cancelled.signal.aborted) return; // the bytes stay the reader's
      if (more) controller.enqueue(take(reader));
      else controller.close();
    },
    cancel(reason) {
      cancelled.abort(reason);
    },
  }, { highWaterMark: 0 });
}

/**
 * Calls that a connection sees in a month: given up while its peer stalls, or answered.
 */
import { assertEquals } from "@std/assert";
import type { Connection } from "../../mod.ts";
import { ignore } from "../../src/core/promises.ts";
import { countedSignal } from "./collection.ts";
import { tick } from "./until.ts";
import { pairWith } from "./pair.ts";

/** Begins something with a signal, and gives it up. */
export function givenUp(begin: (signal: AbortSignal) => Promise<unknown>): () => Promise<unknown> {
  return () => {
    const aborting = new AbortController();
    const waiting = begin(aborting.signal).catch(ignore);
    aborting.abort(null);
    return waiting;
  };
}

/** A connection whose peer reads nothing, with more unsent than the kernel takes. */
export async function stalled(use: (a: Connection) => Promise<void>): Promise<void> {
  const [a, b] = pairWith();
  b.pauseRead();
  a.writer.writeBinary(new Uint8Array(8 << 20), { copy: true });
  void a.writer.flush();
  await tick();
  await use(a);
  a.reset();
  b.reset();
}

/** A connection to a peer that sends everything back, and a signal that nothing may listen to in the end. */
export async function echoed(
  use: (a: Connection, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const [a, b] = pairWith();
  b.setOnRequest(({ reader, writer }) => {
    writer.writeBinary(reader.next(reader.length));
    reader.release();
    void writer.flush();
  });
  const { signal, listeners } = countedSignal();
  await use(a, signal);
  assertEquals(listeners(), 0);
  await a.close();
  await b.close();
}

/**
 * Heaps: making the collector run, and seeing what a call leaves behind.
 */
import { AssertionError } from "@std/assert";
import process from "node:process";
import { getHeapSnapshot, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { tick } from "./until.ts";

const ROUNDS_MAX = 10;
const WARM_UP_COUNT = 500;

/** Makes the collector run: V8 can be asked to, JavaScriptCore does before it draws the heap. */
export function forceCollection(): () => void {
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as () => void;
  } catch {
    return () => void getHeapSnapshot().destroy();
  }
}

/** Bytes that a conservative collector may leave of a call; a listener or a promise that stays takes 250 and more. */
const BYTES_MAX = 80;

/**
 * Calls something very often, one call after the other, and fails when the heap has grown by more
 * than `bytesMax` a call. What the collector leaves for later gets some rounds to go.
 */
export async function staysSmall(
  count: number,
  once: () => unknown,
  bytesMax = BYTES_MAX,
): Promise<void> {
  const collect = forceCollection();
  const heldBytes = async () => {
    collect();
    await tick();
    return process.memoryUsage().heapUsed;
  };
  for (let i = 0; i < WARM_UP_COUNT; i++) await once();
  const before = await heldBytes();
  for (let i = 0; i < count; i++) await once();
  let after = Infinity;
  for (let i = 0; i < ROUNDS_MAX && after - before > count * bytesMax; i++) {
    after = Math.min(after, await heldBytes());
  }
  const grown = (after - before) / count;
  if (grown <= bytesMax) return;
  throw new AssertionError(`${Math.round(grown)} bytes stay of each of ${count} calls`);
}

/** A signal that nobody aborts, and how many listen to it. */
export function countedSignal(): { signal: AbortSignal; listeners: () => number } {
  const { signal } = new AbortController();
  const listening = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (type: string, listener: unknown, options?: unknown) => {
    listening.add(listener);
    addEventListener.call(signal, type, listener as EventListener, options as boolean);
  };
  signal.removeEventListener = (type: string, listener: unknown, options?: unknown) => {
    listening.delete(listener);
    removeEventListener.call(signal, type, listener as EventListener, options as boolean);
  };
  return { signal, listeners: () => listening.size };
}

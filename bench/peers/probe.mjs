/**
 * Loaded before a server (--preload, --import), it tells on SIGUSR2 what the server's heap holds, as one line
 * of JSON, after a full collection: so nothing in the server itself counts anything.
 */
import process from "node:process";
import v8 from "node:v8";

const jsc = globalThis.Bun ? await import("bun:jsc") : null;

/** Promise objects that are alive: pending, or held by somebody. */
function countPromises() {
  if (jsc) return jsc.heapStats().objectTypeCounts.Promise ?? 0;
  return v8.queryObjects(Promise, { format: "count" });
}

/** Bytes of memory outside of the heap that its objects keep: buffers, above all. */
function bufferBytes() {
  // netpoll counts the blocks it uses: a slab of many is one buffer to the heap.
  const own = globalThis[Symbol.for("bench.bufferBytes")];
  if (own) return own();
  return jsc ? jsc.heapStats().extraMemorySize : process.memoryUsage().external;
}

function collect() {
  if (jsc) globalThis.Bun.gc(true);
  else globalThis.gc();
}

process.on("SIGUSR2", () => {
  collect();
  console.log(JSON.stringify({ promises: countPromises(), bufferBytes: bufferBytes() }));
});

// deno-lint-ignore-file explicit-module-boundary-types -- types are in the comments here
/**
 * The work of every client of bench/client.ts: it asks an echo over and over, checks the answers, and
 * prints the cost. Not TypeScript, as Node runs it as well.
 */
import process from "node:process";

/** The request of each client, and its answer. */
export const REQUEST = new Uint8Array(64).map((_, i) => i * 7);

/**
 * Throws unless it is the answer.
 *
 * @param {Uint8Array} bytes
 * @returns {void}
 */
export function checkAnswer(bytes) {
  if (bytes.length !== REQUEST.length || bytes[0] !== REQUEST[0] || bytes[63] !== REQUEST[63]) {
    throw new Error(`The answer is not what was sent: ${bytes.length} bytes`);
  }
}

/** Requests that were answered so far. */
export const done = { count: 0, isOver: false };

/**
 * Measures for so long, after a time to warm up, prints the figures, and ends the process. One
 * connection asks 20 000 times a second: after 0.3 s the compiler still takes half of the CPU.
 *
 * @param {number} [seconds]
 * @param {number} [warmupSeconds]
 * @returns {void}
 */
export function measure(seconds, warmupSeconds = 1.5) {
  setTimeout(() => {
    const before = { count: done.count, cpu: process.cpuUsage(), at: performance.now() };
    setTimeout(() => {
      const { user, system } = process.cpuUsage(before.cpu);
      const requests = done.count - before.count;
      const perSecond = requests / (performance.now() - before.at) * 1000;
      console.log(JSON.stringify({ requests, perSecond, user, system }));
      process.exit(0);
    }, seconds * 1000);
  }, warmupSeconds * 1000);
}

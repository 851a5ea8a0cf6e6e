/**
 * The lateness of a server's timers: the first SIGUSR2 starts a timer of 1 ms, each later one prints how
 * late it was at most since the last, in milliseconds. Not TypeScript, as Node runs it as well.
 */
import process from "node:process";

const INTERVAL_MS = 1;
let mostMs = 0;
let last = 0;

function tick() {
  const now = performance.now();
  mostMs = Math.max(mostMs, now - last - INTERVAL_MS);
  last = now;
}

process.on("SIGUSR2", () => {
  if (last === 0) {
    last = performance.now();
    setInterval(tick, INTERVAL_MS);
  } else tick();
  console.log(JSON.stringify({ mostMs }));
  mostMs = 0;
});

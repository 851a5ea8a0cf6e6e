/**
 * The lateness of a server's timers: the first SIGUSR2 starts a timer of 1 ms, each later one prints how
 * late it was at most since the last, and how much CPU the process used at most between two of its calls, both in
 * milliseconds. A machine that is busy makes a timer late, and adds nothing to that CPU. Not TypeScript, as
 * Node runs it as well.
 */
import process from "node:process";

const INTERVAL_MS = 1;
const most = { lateMs: 0, cpuMs: 0 };
let lastMs = 0;
let lastMicros = 0;

function tick() {
  const now = performance.now();
  const { user, system } = process.cpuUsage();
  if (lastMs > 0) {
    most.lateMs = Math.max(most.lateMs, now - lastMs - INTERVAL_MS);
    most.cpuMs = Math.max(most.cpuMs, (user + system - lastMicros) / 1000);
  }
  lastMs = now;
  lastMicros = user + system;
}

process.on("SIGUSR2", () => {
  if (lastMs === 0) setInterval(tick, INTERVAL_MS);
  tick();
  console.log(JSON.stringify(most));
  most.lateMs = most.cpuMs = 0;
});

/**
 * netpoll's echo in a thread that does other things too:
 * `beside.ts HTTP_MODULE MESSAGE_BYTES sync|async`.
 *
 * Prints "listening PORT", then "http PORT". On SIGUSR2, how late the timers of this thread were
 * since the last time.
 */
import process from "node:process";
import { quantile } from "../harness/statistics.ts";
import { serveEcho } from "./echo.ts";

const [, , httpModule, messageBytes, style] = process.argv;
const TIMER_MS = [1, 10];

/** How late an interval's calls come, one after another: what is late is not made up for. */
function watchTimer(milliseconds: number): number[] {
  const lateness: number[] = [];
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    lateness.push(Math.max(0, now - last - milliseconds));
    last = now;
  }, milliseconds);
  return lateness;
}

const watched = TIMER_MS.map(watchTimer);

process.on("SIGUSR2", () => {
  const report = watched.map((lateness, i) => {
    const all = lateness.splice(0);
    const of = (fraction: number) => quantile(all, fraction);
    return {
      timerMs: TIMER_MS[i],
      count: all.length,
      p50: of(0.5),
      p99: of(0.99),
      p999: of(0.999),
    };
  });
  console.log(JSON.stringify(report));
});

const { serveHttp } = await import(`../peers/${httpModule}`);
serveEcho(0, Number(messageBytes), style!);
console.log(`http ${await serveHttp()}`);

// deno run --allow-ffi --allow-net --allow-read --allow-write --allow-env --allow-run examples/hot_restart.ts or bun …

/**
 * A server that is restarted without a refused connection: at SIGHUP it starts itself again, as its
 * file is now, and so does whoever starts it a second time. The new process takes over, and the old
 * one ends when it has served what it has.
 *
 * It answers each HTTP request with the number of its process. The old process goes on with the
 * connections that it has: each is told with its next answer that it was the last, and closed; those
 * that ask nothing for 10 s are closed then.
 *
 * @module
 */
import "./one_line.ts";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Connection,
  EventLoop,
  notifySystemd,
  offerListeners,
  shutdownOnSignals,
  takeListeners,
} from "../mod.ts";
import { fail, listen, placeOf, readArguments } from "./command_line.ts";

const USAGE = `Usage: hot_restart.ts [HOST:PORT] [--meet PATH]

  --meet PATH   the Unix socket where old and new meet: @netpoll-hot-restart-PORT unless given`;
const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
const PATIENCE_MS = 10_000;
/** The runtime, at its place of now: a newer one may be there when it is started. */
const { execPath } = process;
let isLeaving = false;

async function answer(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  await reader.waitUntil(BLANK_LINE);
  reader.until(BLANK_LINE);
  reader.release();
  const body = `${process.pid}\n`;
  const last = isLeaving ? "Connection: close\r\n" : "";
  writer.writeString(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${last}\r\n${body}`);
  await writer.flush();
  if (last !== "") void connection.close();
}

const { at, values } = readArguments(USAGE, 8080, { meet: { type: "string" } });
const meetingOf = (place: string) =>
  values.meet ?? `@netpoll-hot-restart-${place.split(":").at(-1)}`;

// null: nobody serves yet.
const before = await takeListeners(meetingOf(at)).catch(fail);
const listener = before?.listeners[0] ?? listen(at);
const loop = new EventLoop(answer);
const served = loop.serve(listener);
await before?.ready().catch(fail); // from here on this process accepts, in place of the old one
const place = placeOf(listener).at;
const meeting = meetingOf(place);
using offer = offerListeners(meeting, [listener]);
shutdownOnSignals(loop);
process.on("SIGHUP", startNext);
notifySystemd(`MAINPID=${process.pid}\nREADY=1`);
console.log(`Listening on ${place} in process ${process.pid}; SIGHUP restarts it, Ctrl-C ends it`);
console.log(`Try: curl http://${place}/`);

let next: ChildProcess | null = null;

/** Starts the next version, which takes over as soon as it is ready. If it is not, this one goes on. */
function startNext(): void {
  if (next !== null || isLeaving) return;
  const args = [...process.execArgv, process.argv[1]!, place, "--meet", meeting];
  try {
    next = spawn(execPath, args, { stdio: "inherit" });
    next.on("error", goOn);
    next.on("exit", (code, signal) => goOn(new Error(`it ended with ${code ?? signal}`)));
  } catch (error) {
    goOn(error as Error);
  }
}

function goOn({ message }: Error): void {
  next = null;
  if (isLeaving) return;
  console.log(`The next version did not start: ${message}; process ${process.pid} goes on`);
}

await Promise.race([offer.taken, served]);
isLeaving = true;
const end = performance.now() + PATIENCE_MS;
while (loop.connectionCount > 0 && performance.now() < end) await delay(50);
await loop.shutdown({ timeoutMs: PATIENCE_MS });
await served;
process.exit(0); // whatever has become of the next one

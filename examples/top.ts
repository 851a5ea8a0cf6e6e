// deno run --allow-ffi --allow-net examples/top.ts   or   bun examples/top.ts

/**
 * Shows what a server does, like top: connections, traffic, turns, memory, errors. Run
 * examples/metered_server.ts or examples/dashboard.ts, and this beside it:
 * `top.ts [ADDRESS] [--interval MS] [--once]`. The address is localhost:9464 unless given; a path is a
 * Unix socket. `q` or Ctrl-C leaves.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { dial } from "../mod.ts";
import type { Snapshot } from "./metered_server.ts";
import { drawFrame } from "./top/frame.ts";

const USAGE = `Usage: top.ts [ADDRESS] [--interval MS] [--once]

  ADDRESS         of a server that tells what it does: localhost:9464; a path is a Unix socket
  --interval MS   between two looks, from 10 to 60000: 1000
  --once          prints one frame and ends`;

/** The arguments; it ends here where they make no sense. */
function readArguments(): { address: string; intervalMs: number; isOnce: boolean } {
  try {
    const { values, positionals: [address = "localhost:9464"] } = parseArgs({
      allowPositionals: true,
      options: {
        interval: { type: "string", default: "1000" },
        once: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const intervalMs = Number(values.interval);
    if (!(intervalMs >= 10 && intervalMs <= 60_000)) throw new Error("--interval is out of range");
    return { address, intervalMs, isOnce: values.once };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const { address, intervalMs, isOnce } = readArguments();

/** Asks the server, on a connection of its own. */
async function look(): Promise<Snapshot> {
  const network = /^[/@]/.test(address) ? "unix" : "tcp";
  await using connection = await dial(network, address, { timeoutMs: 5000, readTimeoutMs: 5000 });
  const { reader, writer } = connection;
  writer.writeString("GET /snapshot HTTP/1.1\r\nHost: netpoll\r\n\r\n");
  await writer.flush();
  const headBytes = await reader.waitUntil("\r\n\r\n");
  const head = reader.readString(headBytes);
  const length = Number(/^Content-Length: (\d+)\r$/im.exec(head)?.[1]);
  if (!head.startsWith("HTTP/1.1 200 ") || !(length > 0)) {
    throw new Error(`${address} is no server that tells what it does`);
  }
  await reader.wait(length);
  return JSON.parse(reader.readString(length));
}

const { stdin, stdout } = process;
const isLive = stdout.isTTY === true && !isOnce;
const leaving = new AbortController();
/** q, or Ctrl-C where the terminal does not make a signal of it. */
const LEAVING = new RegExp(`[qQ${String.fromCharCode(3)}]`);

/** The other screen, without a cursor; keys come one at a time and are not echoed. */
function enter(): void {
  stdout.write("\x1b[?1049h\x1b[?25l");
  if (!stdin.isTTY) return;
  stdin.setRawMode(true);
  stdin.on("data", (keys) => LEAVING.test(String(keys)) && leaving.abort());
}

/** Everything as it was. */
function restore(): void {
  if (stdin.isTTY) stdin.setRawMode(false);
  stdin.pause();
  stdout.write("\x1b[?25h\x1b[?1049l");
}

function show(lines: readonly string[]): void {
  if (!isLive) return void stdout.write(`${lines.join("\n")}\n${isOnce ? "" : "\n"}`);
  const fitting = lines.slice(0, stdout.rows - 1).map((line) => line.slice(0, stdout.columns));
  stdout.write(`\x1b[H${fitting.map((line) => `${line}\x1b[K\r\n`).join("")}\x1b[J`);
}

async function run(): Promise<void> {
  let then = await look();
  do {
    await setTimeout(intervalMs, undefined, { signal: leaving.signal });
    const now = await look();
    show(drawFrame(now, then, address));
    then = now;
  } while (!isOnce);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => leaving.abort());
stdout.on("error", () => leaving.abort()); // the reader has gone
if (isLive) enter();
let failure: unknown = null;
await run().catch((error) => failure = error);
if (isLive) restore();
if (failure !== null && !leaving.signal.aborted) {
  console.error(`Cannot show ${address}: ${(failure as Error).message}`);
}
process.exit(leaving.signal.aborted || failure === null ? 0 : 1);

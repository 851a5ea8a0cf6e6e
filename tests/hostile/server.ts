/**
 * A program: one of the servers that are attacked. It prints its port, and what it holds for each
 * byte of its standard input. The second argument has the options of its loop, in JSON.
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import {
  createListener,
  EventLoop,
  type EventLoopOptions,
  type Listener,
  metrics,
  shutdownOnSignals,
} from "../../mod.ts";
import { BUFFER_BYTES_MAX } from "./bounds.ts";
import { targetOf } from "./targets.ts";

/** The sum of what a server holds and has done. */
export interface Report {
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly cpuMicros: number;
  readonly uptimeMicros: number;
  readonly turns: number;
  readonly active: number;
  readonly watched: number;
  readonly blocks: number;
  readonly blockBytes: number;
  readonly failures: number;
  /** The last failures, in words. */
  readonly errors: readonly string[];
}

const ERRORS_MAX = 5;

const LISTENER = { sendBufferBytes: 64 * 1024, receiveBufferBytes: 64 * 1024 };

function portOf({ address }: Listener): number {
  return address.transport === "tcp" ? address.port : -1;
}

/** Very many when none is left to count them by. */
function descriptorCount(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

const errors: string[] = [];

function report(): Report {
  const { process: own, connections, poller, memory } = metrics();
  return {
    residentBytes: own.residentBytes,
    descriptors: descriptorCount(),
    cpuMicros: own.userMicros + own.systemMicros,
    uptimeMicros: Math.round(performance.now() * 1000),
    turns: poller.turns,
    active: connections.activeCount,
    watched: poller.watchedCount,
    blocks: memory.blockCount,
    blockBytes: memory.blockBytes,
    failures: connections.failures,
    errors,
  };
}

function serveUpstream(): string {
  const listener = createListener("tcp", "127.0.0.1:0", LISTENER);
  const { onRequest } = targetOf("echo");
  const options = { readBufferBytesMax: BUFFER_BYTES_MAX, writeBufferBytesMax: BUFFER_BYTES_MAX };
  void new EventLoop(onRequest!, options).serve(listener);
  return `127.0.0.1:${portOf(listener)}`;
}

function main(name: string, options: EventLoopOptions): void {
  const { onRequest = null, onConnect } = targetOf(name);
  const upstream = name === "proxy" ? serveUpstream() : "";
  const listener = createListener("tcp", "127.0.0.1:0", LISTENER);
  const loop = new EventLoop(onRequest, {
    readBufferBytesMax: BUFFER_BYTES_MAX,
    writeBufferBytesMax: BUFFER_BYTES_MAX,
    onError(error) {
      errors.push(String(error));
      if (errors.length > ERRORS_MAX) errors.shift();
    },
    ...onConnect && { onConnect: (connection) => onConnect(connection, upstream) },
    ...options,
  });
  // Deno opens what it needs for signals when it needs it, and panics when it cannot.
  shutdownOnSignals(loop);
  process.stdin.on("data", (lines: Uint8Array) => {
    for (const _ of lines) console.log(JSON.stringify(report()));
  });
  console.log(`port ${portOf(listener)}`);
  void loop.serve(listener);
}

if (import.meta.main) main(process.argv[2]!, JSON.parse(process.argv[3] ?? "{}"));

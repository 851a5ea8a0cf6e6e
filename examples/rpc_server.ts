// deno run --allow-ffi --allow-net examples/rpc_server.ts   or   bun examples/rpc_server.ts

/**
 * Answers requests of examples/rpc/protocol.ts, at localhost:6385 or the address given: many at a
 * time over one connection, each as soon as it is ready.
 *
 * @module
 */
import "./one_line.ts";
import { createHash } from "node:crypto";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import {
  createListener,
  EventLoop,
  type FrameInput,
  type RequestContext,
  responder,
  shutdownOnSignals,
} from "../mod.ts";
import { codec, Method, Status } from "./rpc/protocol.ts";

const SLEEP_MS_MAX = 60_000;
const FINE = Uint8Array.of(Status.FINE);
const FAILED = Uint8Array.of(Status.FAILED);

/** Later requests are answered meanwhile; when the client is gone, nobody waits any longer. */
async function sleep(rest: Uint8Array, { signal }: RequestContext): Promise<FrameInput> {
  if (rest.length !== 4) throw new Error(`4 bytes say how long, not ${rest.length}`);
  const milliseconds = new DataView(rest.buffer, rest.byteOffset).getUint32(0);
  if (milliseconds > SLEEP_MS_MAX) throw new Error(`${milliseconds} ms are too long`);
  await setTimeout(milliseconds, undefined, { signal });
  return FINE;
}

function respond(body: Uint8Array, request: RequestContext): FrameInput | Promise<FrameInput> {
  switch (body[0]) {
    case Method.ECHO:
      return body; // at once, and without a promise
    case Method.SLEEP:
      return sleep(body.subarray(1), request);
    case Method.DIGEST:
      return [FINE, createHash("sha256").update(body.subarray(1)).digest()];
    default:
      throw new Error(`There is no method ${body[0]}`);
  }
}

const handler = responder<Uint8Array, FrameInput>(codec, respond, {
  runningMax: 1024, // of one connection; what it asks beyond is not read before
  onError: (error) => [FAILED, (error as Error).message],
});
const loop = new EventLoop(handler, {
  connectionsMax: 10_000,
  idleTimeoutMs: 10 * 60_000,
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});

// Ctrl-C: what runs is answered, within the time given.
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const listener = createListener("tcp", process.argv[2] ?? "localhost:6385");
const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C drains it`);
console.log(`Try: bun examples/rpc_client.ts ${at}`);
await loop.serve(listener);
console.log("Stopped");

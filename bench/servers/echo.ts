/**
 * netpoll's servers, as the benches run them:
 * `echo.ts PORT MESSAGE_BYTES echo|framed|tail|broadcast sync|async`.
 */
import process from "node:process";
import { type Connection, createListener, EventLoop, type RequestHandler } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { broadcastLoop } from "./broadcast.ts";
import { framedLoop } from "./framed.ts";

/**
 * The program that every reader knows (the first example of the documentation), for messages of a
 * size.
 */
function echoMessages(bytes: number) {
  return async ({ reader, writer }: Connection): Promise<void> => {
    await reader.wait(bytes);
    const message = reader.next(bytes);
    writer.writeBinary(message);
    await writer.flush();
    reader.release();
  };
}

/** Echoes all bytes that are there, whole messages or not, without a promise. */
function echoBytes({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  writer.flush();
  reader.release();
}

/** Does something beside each call of a handler. */
type Around = (handler: RequestHandler<undefined>) => RequestHandler<undefined>;

function echoLoop(messageBytes: number, style: string, around: Around = (it) => it): EventLoop {
  return new EventLoop(around(style === "async" ? echoMessages(messageBytes) : echoBytes));
}

/** Serves on a port of 127.0.0.1 for as long as the process lives, and prints "listening PORT". */
function serve<C>(loop: EventLoop<C>, port: number): void {
  const listener = createListener("tcp", `127.0.0.1:${port}`);
  void loop.serve(listener);
  if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
}

/**
 * Serves an echo on a port of 127.0.0.1 (0: any) for as long as the process lives, and prints
 * "listening PORT".
 */
export function serveEcho(
  port: number,
  messageBytes: number,
  style: string,
  around?: Around,
): void {
  serve(echoLoop(messageBytes, style, around), port);
}

function serveMode(mode: string, port: number, messageBytes: number, style: string): void {
  if (mode === "echo") serveEcho(port, messageBytes, style);
  else if (mode === "framed") serve(framedLoop(false, style), port);
  else if (mode === "tail") serve(framedLoop(true, style), port);
  else if (mode === "broadcast") serve(broadcastLoop(style), port);
  else throw new TypeError(`There is no mode ${mode}`);
}

// bench/peers/probe.mjs asks for it.
Object.assign(globalThis, { [Symbol.for("bench.bufferBytes")]: () => blocks.counts().usedBytes });

if (import.meta.main) {
  const [port, messageBytes, mode = "echo", style = "sync"] = process.argv.slice(2);
  serveMode(mode, Number(port), Number(messageBytes), style);
}

/**
 * netpoll's echo, as the benches run it: `echo.ts PORT MESSAGE_BYTES sync|async`.
 */
import process from "node:process";
import { type Connection, createListener, EventLoop } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";

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

/** The same without a promise: what is there goes back, whole message or not. */
function echoBytes({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  writer.flush();
  reader.release();
}

/**
 * Serves on a port of 127.0.0.1 (0: any) for as long as the process lives, and prints "listening
 * PORT".
 */
export function serveEcho(port: number, messageBytes: number, style: string): void {
  const listener = createListener("tcp", `127.0.0.1:${port}`);
  const loop = new EventLoop(style === "async" ? echoMessages(messageBytes) : echoBytes);
  void loop.serve(listener);
  if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
}

// For bench/peers/probe.mjs.
Object.assign(globalThis, { [Symbol.for("bench.bufferBytes")]: () => blocks.counts().usedBytes });

if (import.meta.main) {
  const [port, messageBytes, style] = process.argv.slice(2);
  serveEcho(Number(port), Number(messageBytes), style ?? "sync");
}

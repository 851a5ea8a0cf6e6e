/**
 * netpoll's echo, as the benches run it: `echo.ts PORT MESSAGE_BYTES sync|async`.
 */
import process from "node:process";
import { type Connection, createListener, EventLoop } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";

const [port, messageBytes, style] = process.argv.slice(2);
const bytes = Number(messageBytes);

/** The program that every reader knows (docs: the first example), with the size of the bench. */
async function echoMessages({ reader, writer }: Connection): Promise<void> {
  await reader.wait(bytes);
  const message = reader.next(bytes);
  writer.writeBinary(message);
  await writer.flush();
  reader.release();
}

/** The same without a promise: what is there goes back, whole message or not. */
function echoBytes({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  writer.flush();
  reader.release();
}

// For bench/peers/probe.mjs.
Object.assign(globalThis, { [Symbol.for("bench.bufferBytes")]: () => blocks.counts().usedBytes });

const listener = createListener("tcp", `127.0.0.1:${port}`);
const loop = new EventLoop(style === "async" ? echoMessages : echoBytes);
const served = loop.serve(listener);
if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
await served;

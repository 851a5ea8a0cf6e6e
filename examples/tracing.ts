// deno run -A examples/tracing.ts   or   bun examples/tracing.ts

/**
 * Spans of OpenTelemetry, without a word about them where the work is done: the library's channels
 * tell of requests and dials, and AsyncLocalStorage which is inside which. A front server at
 * localhost:6389, or the address given, asks a back server for each line that comes. Try it with
 * `nc localhost 6389`; an empty line is a failure. The trace goes from the one to the other in a line of
 * its own, as `traceparent` (W3C Trace Context).
 *
 * Spans are printed, or go to OTEL_EXPORTER_OTLP_ENDPOINT, as `http://localhost:4318`: a collector,
 * Jaeger, Tempo (OTLP over HTTP, in JSON).
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { type Connection, createListener, dial, EventLoop, shutdownOnSignals } from "../mod.ts";
import { continueTrace, startTracing, traceparent } from "./tracing/spans.ts";

const NEWLINE = 10;

async function readLine({ reader }: Connection): Promise<string> {
  const line = reader.readString(await reader.waitUntil(NEWLINE));
  reader.release();
  return line.trimEnd();
}

async function writeLines({ writer }: Connection, ...lines: string[]): Promise<void> {
  for (const line of lines) writer.writeString(`${line}\n`);
  await writer.flush();
}

/** The back server: a line that says which trace goes on, and one that comes back in capitals. */
async function onBackRequest(connection: Connection): Promise<void> {
  continueTrace(await readLine(connection));
  const line = await readLine(connection);
  if (line === "") throw new Error("The line is empty");
  await writeLines(connection, line.toUpperCase());
}

const onError = () => {}; // the span has it
const backListener = createListener("tcp", "localhost:0");
const back = new EventLoop(onBackRequest, { onError });
const front = new EventLoop(async (connection: Connection) => {
  const line = await readLine(connection);
  await using asked = await dial(backListener.address, { timeoutMs: 1000, readTimeoutMs: 1000 });
  await writeLines(asked, traceparent(), line);
  await writeLines(connection, await readLine(asked));
}, { onError });

const endpoint = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"];
const tracing = startTracing("netpoll-tracing", endpoint);
const listener = createListener("tcp", process.argv[2] ?? "localhost:6389");
const served = [front.serve(listener), back.serve(backListener)];
shutdownOnSignals(front, { exit: false });
const { address } = listener;
console.log(
  "Listening on",
  address.transport === "tcp" ? `${address.hostname}:${address.port}` : address,
);
await served[0];
await back.shutdown();
await tracing.flush();

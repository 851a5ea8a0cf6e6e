/**
 * netpoll's echo while somebody looks: `seen.ts PORT USE sync|async`. The uses are `nothing`, `times`
 * (histograms), `slow` (the log of slow handlers), `log` (each connection's life), `channels`
 * (subscribers to connections), `requests` (subscribers to each call of a handler), and `floor`: what
 * `requests` must cost at least, an object for each call that is published twice.
 */
import { channel, subscribe } from "node:diagnostics_channel";
import process from "node:process";
import { configure, type RequestHandler } from "../../mod.ts";
import { serveEcho } from "../servers/echo.ts";

const MESSAGE_BYTES = 64;

let seen = 0;
const look = () => void (seen += 1);

/** The uses, by name. */
const USES: Readonly<Record<string, () => void>> = {
  nothing: () => {},
  times: () => configure({ measure: true }),
  slow: () => configure({ slowHandlerMs: 100 }),
  log: () => configure({ log: look, logLevel: "info" }),
  channels: () =>
    ["open", "close"].forEach((name) => subscribe(`netpoll:connection:${name}`, look)),
  requests: () => ["start", "end"].forEach((name) => subscribe(`netpoll:request:${name}`, look)),
};

/** Publishes a message as large as that of a request before and after each call. */
function publishing(handler: RequestHandler<undefined>): RequestHandler<undefined> {
  const [start, end] = ["start", "end"].map((name) => channel(`floor:${name}`));
  for (const each of [start!, end!]) each.subscribe(look);
  return (connection, context) => {
    const readableBytes = connection.reader.length;
    const message = {
      connection,
      id: "1",
      request: seen,
      waitMs: 0,
      readableBytes,
      readBytes: 0,
      durationMs: 0,
    };
    start!.publish(message);
    const result = handler(connection, context);
    message.durationMs = readableBytes;
    end!.publish(message);
    return result;
  };
}

const [port, use, style] = process.argv.slice(2);
USES[use!]?.();
serveEcho(Number(port), MESSAGE_BYTES, style!, use === "floor" ? publishing : undefined);

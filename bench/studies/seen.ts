/**
 * netpoll's echo while somebody looks: `seen.ts PORT USE sync|async`. The uses are `nothing`, `times`
 * (histograms), `slow` (the log of slow handlers), `log` (each connection's life), `channels`
 * (subscribers to connections) and `requests` (subscribers to each call of a handler).
 */
import { subscribe } from "node:diagnostics_channel";
import process from "node:process";
import { configure } from "../../mod.ts";
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

const [port, use, style] = process.argv.slice(2);
USES[use!]!();
serveEcho(Number(port), MESSAGE_BYTES, style!);

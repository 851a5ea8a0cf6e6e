/**
 * netpoll's echo, which tells what it did at a Unix socket: `metered.ts PORT SOCKET sync|async`.
 */
import process from "node:process";
import { metrics } from "../../mod.ts";
import { exposeMetrics } from "../../examples/metered_server.ts";
import { serveEcho } from "../servers/echo.ts";

const MESSAGE_BYTES = 64;

const [port, socket, style] = process.argv.slice(2);
exposeMetrics(socket!, () => ({ metrics: metrics(), loop: null }));
serveEcho(Number(port), MESSAGE_BYTES, style!);

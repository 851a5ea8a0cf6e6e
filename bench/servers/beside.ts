/**
 * netpoll's echo in a thread that does other things too:
 * `beside.ts HTTP_MODULE MESSAGE_BYTES sync|async`.
 *
 * Prints "listening PORT", then "http PORT". On SIGUSR2, how late the timers of this thread were
 * since the last time.
 */
import process from "node:process";
import { serveEcho } from "./echo.ts";
import { watchTimers } from "./lateness.ts";

const [, , httpModule, messageBytes, style] = process.argv;
const timers = watchTimers();

process.on("SIGUSR2", () => console.log(JSON.stringify(timers())));

const { serveHttp } = await import(`../peers/${httpModule}`);
serveEcho(0, Number(messageBytes), style!);
console.log(`http ${await serveHttp()}`);

// systemd-socket-activate -l 7001 bun examples/deploy/activated_server.ts

/**
 * An echo whose listener systemd has opened (echo.socket, echo.service): it says when it is ready, that
 * it is alive, and when it stops. Without systemd it listens at localhost:7001.
 *
 * @module
 */
import "../one_line.ts";
import process from "node:process";
import { setInterval } from "node:timers";
import {
  type Connection,
  createListener,
  EventLoop,
  listenersFromSystemd,
  notifySystemd,
  systemdWatchdogMs,
} from "../../mod.ts";

function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

const [activated] = listenersFromSystemd();
const listener = activated?.listener ?? createListener("tcp", "localhost:7001");
const loop = new EventLoop(echo);
const served = loop.serve(listener);
console.log("Listening on", listener.address);
notifySystemd("READY=1");

const everyMs = systemdWatchdogMs();
if (everyMs > 0) setInterval(() => notifySystemd("WATCHDOG=1"), everyMs).unref();

process.once("SIGTERM", () => {
  notifySystemd("STOPPING=1");
  void loop.shutdown({ timeoutMs: 20_000 });
});
await served;

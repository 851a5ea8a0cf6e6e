/**
 * A program: all subscribers of its channels throw, and its connection is served all the same.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { channel, subscribe } from "node:diagnostics_channel";
import process from "node:process";
import { Connection, socketPair } from "../../mod.ts";
import { until } from "./until.ts";

const lines = new Set<string>();
process.on("uncaughtException", (error) => lines.add(`uncaught: ${error.message}`));
for (
  const name of [
    "netpoll:connection:open",
    "netpoll:connection:close",
    "netpoll:request:start",
    "netpoll:request:end",
  ]
) {
  subscribe(name, () => {
    throw new Error(name);
  });
}
channel("netpoll:request:start").bindStore(new AsyncLocalStorage<unknown>(), () => {
  throw new Error("the store");
});

const [a, b] = socketPair();
const served = Connection.fromFd(b.detach(), {
  onRequest: ({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length));
    void writer.flush();
    reader.release();
  },
});
a.writer.writeString("hello");
await a.writer.flush();
await a.reader.wait(5);
lines.add(`the answer: ${a.reader.readString(5)}`);
a.reader.release();
await a.close();
await served.closed;
lines.add("closed in order");
await until(() => lines.size === 7, "all of it");
for (const line of [...lines].sort()) console.log(line);
process.exit(0);

/**
 * A program: a cluster of two, asked once by the program itself. With "stay" it goes on serving,
 * until a signal; with "unref" it ends although it could serve; with "exit" it exits while it does.
 * A second argument names another handler module.
 */
import process from "node:process";
import { Cluster, createListener, dial, shutdownOnSignals } from "../../mod.ts";

console.log("the program begins");
const kind = /\.ts$/.test(import.meta.url) ? "ts" : "js";
const [, , act, handler = `./cluster_echo.${kind}`] = process.argv;
const cluster = new Cluster(new URL(handler, import.meta.url), { pollerCount: 2 });
const listener = createListener("tcp", "127.0.0.1:0");
const served = cluster.serve(listener);
const { address } = listener;
const connection = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
connection.writer.writeString("hello");
await connection.writer.flush();
await connection.reader.wait(10);
console.log(connection.reader.readString(10));
await connection.close();

if (act === "exit") process.exit(0);
else if (act === "unref") cluster.unref();
else if (act === "stay") shutdownOnSignals(cluster, { exit: false });
else await cluster.shutdown({ timeoutMs: 1000 });
console.log("ready");
if (act !== "unref") {
  await served;
  console.log("served");
}

/**
 * A program: a loop, or a cluster, that lets the process end, and then does not any more.
 */
import process from "node:process";
import { Cluster, createListener, EventLoop, type TcpAddress } from "../../mod.ts";

const server = process.argv.at(-1) === "cluster"
  ? new Cluster(new URL("./cluster_echo.ts", import.meta.url), { pollerCount: 1 })
  : new EventLoop(({ reader, writer }) => {
    writer.writeString(`echo ${reader.readString(reader.length)}`);
    void writer.flush();
    reader.release();
  });
const listener = createListener("tcp", "127.0.0.1:0");
void server.serve(listener);
server.unref();
server.ref();
console.log(`port ${(listener.address as TcpAddress).port}`);

/**
 * netpoll's file server, as the benches run it: `files.ts DIRECTORY`. It answers GET and no more.
 */
import { statSync } from "node:fs";
import process from "node:process";
import { type Connection, createListener, EventLoop } from "../../mod.ts";

const END_OF_HEAD = new TextEncoder().encode("\r\n\r\n");
const directory = process.argv[2]!;

async function answer(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const head = reader.readString(await reader.waitUntil(END_OF_HEAD));
  reader.release();
  const path = `${directory}${head.split(" ", 2)[1]}`;
  writer.writeString(`HTTP/1.1 200 OK\r\nContent-Length: ${statSync(path).size}\r\n\r\n`);
  await connection.sendFile(path);
}

const listener = createListener("tcp", "127.0.0.1:0");
void new EventLoop(answer, { onError() {} }).serve(listener);
if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);

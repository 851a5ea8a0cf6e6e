/**
 * A program for `--watch` and `--hot`: it serves, has a client itself, says what it holds,
 * and tidies nothing up.
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import { createListener, dial, EventLoop } from "../../mod.ts";

const VERSION = "v0";
const [port, path] = process.argv.slice(-2) as [string, string];
const loop = new EventLoop(({ reader, writer }) => {
  reader.skip(reader.length);
  reader.release();
  writer.writeString(`${VERSION}\n`);
  writer.flush();
});
void loop.serve(createListener("tcp", `127.0.0.1:${port}`));
void loop.serve(createListener("unix", path));
const client = await dial("unix", path);
client.writer.writeString("x");
await client.writer.flush();
await client.reader.wait(3);
console.log(VERSION, readdirSync("/proc/self/fd").length);

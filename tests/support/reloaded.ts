/**
 * A program for `--watch` and `--hot`: it serves, has a client itself, says what it holds,
 * and tidies nothing up.
 */
import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { createListener, dial, EventLoop } from "../../mod.ts";

const VERSION = "v0";

function isFile(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/");
  } catch {
    return true; // the one that listed them
  }
}

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
// Sockets, pipes and the like: files are the runtime's, which reads the program again.
console.log(VERSION, readdirSync("/proc/self/fd").filter((fd) => !isFile(fd)).length);

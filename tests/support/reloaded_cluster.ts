/**
 * A program for `--watch` and `--hot` that serves a cluster: it has a client itself, says what it
 * holds, and tidies nothing up.
 */
import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import { Cluster, type Connection, createListener, dial } from "../../mod.ts";

const VERSION = "v0";

export function onRequest({ reader, writer }: Connection): void {
  reader.skip(reader.length);
  reader.release();
  writer.writeString(`${VERSION}\n`);
  void writer.flush();
}

function isFile(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/");
  } catch {
    return true; // the one that listed them
  }
}

async function main(): Promise<void> {
  const [port, path] = process.argv.slice(-2) as [string, string];
  const cluster = new Cluster(new URL(import.meta.url), { pollerCount: 2 });
  void cluster.serve(createListener("tcp", `127.0.0.1:${port}`));
  void cluster.serve(createListener("unix", path));
  const client = await dial("unix", path);
  client.writer.writeString("x");
  await client.writer.flush();
  await client.reader.wait(3);
  // Sockets, pipes and the like: files are the runtime's, which reads the program again.
  console.log(VERSION, readdirSync("/proc/self/fd").filter((fd) => !isFile(fd)).length);
}

if (isMainThread) await main();

// deno run -A examples/chat.ts   or   bun examples/chat.ts

/**
 * A chat room over four pollers, at localhost:6383 or the address given: what one says, all others
 * read, whichever core serves them. Try it with `nc localhost 6383`, twice.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import { type Connection, createListener, serve } from "../mod.ts";

const LINE_BYTES_MAX = 1000;

// The rest runs in each Worker: the connections of its poller, and a channel to the others.
const here = new Set<Connection>();
const room = new BroadcastChannel("room");

function say(line: string, from: Connection | null): void {
  for (const connection of here) {
    // A client that does not read gets no more than its buffer holds.
    if (connection === from || !connection.writer.isWritable) continue;
    connection.writer.writeString(line);
    void connection.writer.flush();
  }
}

function tell(line: string, from: Connection): void {
  say(line, from);
  room.postMessage(line);
}

room.onmessage = ({ data }: MessageEvent<string>) => say(data, null);

/** Another one comes. */
export function onConnect(connection: Connection): void {
  here.add(connection);
  connection.addCloseCallback(() => {
    here.delete(connection);
    tell("* somebody went\n", connection);
  });
  connection.writer.writeString("* welcome\n");
  void connection.writer.flush();
  tell("* somebody came\n", connection);
}

/** A member says something: all others hear it. */
export async function onRequest(connection: Connection): Promise<void> {
  const { reader } = connection;
  const count = await reader.waitUntil(10, { maxBytes: LINE_BYTES_MAX }).catch((error) => {
    if (error instanceof RangeError) return -1; // so long a line is no failure of ours to log
    throw error;
  });
  if (count < 0) return connection.reset();
  const line = reader.readString(count);
  reader.release();
  tell(`> ${line}`, connection);
}

// And this in the main thread alone: the module that a Worker imports is this very file.
if (isMainThread) {
  room.close();
  const listener = createListener("tcp", process.argv[2] ?? "localhost:6383");
  const { address } = listener;
  const [at, nc] = address.transport === "tcp"
    ? [`${address.hostname}:${address.port}`, `nc ${address.hostname} ${address.port}`]
    : [address.path, `nc -U ${address.path}`];
  console.log(`Listening on ${at}; Ctrl-C stops it`);
  console.log(`Try it from two terminals: ${nc}`);
  await serve(listener, new URL(import.meta.url), { pollerCount: 4, loadBalance: "random" });
  console.log("Stopped");
}

/**
 * The server of calls.ts: `counted.ts PATH MESSAGES sync|async` echoes so many messages of 64 bytes
 * over a Unix socket, and ends.
 */
import process from "node:process";
import { type Connection, createListener, EventLoop } from "../../mod.ts";

const MESSAGE_BYTES = 64;

const [path, messages, style] = process.argv.slice(2);
let left = Number(messages);

function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(MESSAGE_BYTES));
  void writer.flush();
  reader.release();
  left -= 1;
}

async function echoLater({ reader, writer }: Connection): Promise<void> {
  await reader.wait(MESSAGE_BYTES);
  writer.writeBinary(reader.next(MESSAGE_BYTES));
  await writer.flush();
  reader.release();
  left -= 1;
}

const loop = new EventLoop(style === "async" ? echoLater : echo, {
  onDisconnect: () => void loop.shutdown(),
});
const served = loop.serve(createListener("unix", path!));
console.log("ready");
await served;
if (left !== 0) throw new Error(`${left} messages are missing`);

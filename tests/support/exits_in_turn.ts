/**
 * A program: it answers requests of four bytes, which come together, and ends amid the second one in
 * the way of its argument.
 */
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import { ownExit } from "../runtime/own_exit.ts";

const MUCH_BYTES = 70_000;

const WAYS: Readonly<Record<string, () => unknown>> = {
  "process.exit()": () => process.exit(3),
  "an exit of the runtime's own": () => ownExit(3),
  "an exit in a microtask": () => queueMicrotask(() => process.exit(3)),
  SIGTERM: () => process.kill(process.pid, "SIGTERM"),
  SIGKILL: () => process.kill(process.pid, "SIGKILL"),
  "SIGKILL after a pause": () => process.kill(process.pid, "SIGKILL"),
  "SIGKILL after much": () => process.kill(process.pid, "SIGKILL"),
};
const way = process.argv.at(-1)!;

const loop = new EventLoop(async (connection) => {
  const { reader, writer } = connection;
  for (let n = 1;; n++) {
    await reader.wait(4);
    writer.writeBinary(reader.next(4));
    // So much does not wait for the next answers, and takes along what does.
    const isMuch = n === 2 && way.endsWith("much");
    if (isMuch) writer.malloc(MUCH_BYTES).fill(0);
    await writer.flush();
    reader.release();
    if (n < 2 || isMuch) continue;
    if (way.endsWith("pause")) connection.pauseRead(); // what is watched for changes
    WAYS[way]!();
  }
});
const listener = createListener("tcp", "127.0.0.1:0");
void loop.serve(listener);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : -1}`);

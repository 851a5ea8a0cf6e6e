/**
 * A program: descriptors that the runtime has opened are taken over and closed; afterwards their
 * numbers are those of others, whom nobody disturbs. It ends without a panic of the runtime.
 */
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import process from "node:process";
import { Connection } from "../../mod.ts";
import { openFifo } from "./fifo.ts";

async function takeOver(): Promise<string> {
  const { reading, writing } = openFifo();
  const from = Connection.fromFd(reading);
  const to = Connection.fromFd(writing);
  to.writer.writeString("hello\n");
  await to.writer.flush();
  await from.reader.wait(6);
  const said = from.reader.readString(6);
  await to.close();
  await from.close();
  return said;
}

const output = Connection.fromFd(1);
output.writer.writeString("written to 1\n");
await output.writer.flush();
output.detach(); // where 1 is a socket, its end would be the end of ours as well
fstatSync(1); // it is open

const said = await takeOver();
// Files that get the numbers of those are read and closed like any other.
const files = Array.from({ length: 4 }, () => openSync("libnetpoll.c", "r"));
const isRead = files.every((file) => readSync(file, new Uint8Array(4), 0, 4, 0) === 4);
for (const file of files) closeSync(file);
for (let i = 0; i < 2; i++) spawnSync("true");
process.once("SIGUSR2", () => {}); // Deno has descriptors of its own for that
writeSync(1, `${said}${isRead}\nend\n`);

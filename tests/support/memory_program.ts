/**
 * A program: leaves a pair in memory open, and does nothing more ("idle"), waits with a deadline
 * ("deadline"), or sends a message to and fro a thousand times ("messages").
 */
import process from "node:process";
import { memoryPair } from "../../mod.ts";

const [a, b] = memoryPair({ first: { readTimeoutMs: 200 } });
b.setOnRequest(({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
});
console.log("opened");
const task = process.argv.at(-1);
if (task === "deadline") {
  await a.reader.wait(1).catch(() => console.log("late"));
} else if (task === "messages") {
  a.readTimeoutMs = 0;
  let count = 0;
  for (; count < 1000; count++) {
    a.writer.writeByte(count & 255);
    await a.writer.flush();
    await a.reader.wait(1);
    a.reader.skip(1);
    a.reader.release();
  }
  console.log(count);
}

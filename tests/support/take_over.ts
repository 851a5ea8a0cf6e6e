/**
 * Goes on with connections that another process hands over at a Unix socket, with the bytes that it has
 * read already: a frame is its length in a byte and so many bytes, and is answered with "B" before it.
 */
import process from "node:process";
import { Connection, dial, receiveDescriptors } from "../../mod.ts";
import { answerFrames } from "./frame_answers.ts";

const channel = await dial("unix", process.argv[2]!);
const { reader, writer } = channel;
for (;;) {
  const [fd] = await receiveDescriptors(channel).catch(() => []);
  if (fd === undefined) break;
  await reader.wait(1);
  const count = reader.readByte();
  await reader.wait(count);
  const unread = reader.readBinary(count);
  reader.release();
  Connection.fromFd(fd, { unread, onRequest: (connection) => answerFrames(connection, "B") });
  writer.writeString(".");
  await writer.flush();
}
await channel.close();

/**
 * A program: flushes more than the peer has read, which the kernel takes, closes, and exits at once.
 */
import process from "node:process";
import { dial } from "../../mod.ts";

const connection = await dial("tcp", `127.0.0.1:${process.argv.at(-1)}`, {
  sendBufferBytes: 1 << 20,
});
connection.writer.writeBinary(new Uint8Array(100_000));
await connection.writer.flush();
void connection.close();
process.exit(0);

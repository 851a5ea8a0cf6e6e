/**
 * A program that has a connection over a stream that keeps no process alive, and does with it what its
 * argument says.
 */
import process from "node:process";
import { Connection } from "../../mod.ts";
import { memoryEnds } from "./duplexes.ts";

const [ours] = memoryEnds();

const acts: Record<string, () => Promise<unknown> | void> = {
  "wait with a deadline": () =>
    Connection.fromDuplex(ours, { readTimeoutMs: 200 }).reader.wait(1).catch(console.log),
  "flush with a deadline"() {
    const { writer } = Connection.fromDuplex(ours, { writeTimeoutMs: 200 });
    writer.writeBinary(new Uint8Array(1 << 20));
    return writer.flush().catch(console.log);
  },
  async "close with a deadline"() {
    const connection = Connection.fromDuplex(ours, { closeTimeoutMs: 200 });
    connection.writer.writeBinary(new Uint8Array(1 << 20));
    void connection.writer.flush();
    const { unsentBytes } = await connection.close();
    console.log(unsentBytes > 0 ? "unsent" : "sent");
  },
  "leave it open"() {
    void Connection.fromDuplex(ours);
  },
  "leave it open with deadlines"() {
    void Connection.fromDuplex(ours, { readTimeoutMs: 60_000, writeTimeoutMs: 60_000 });
  },
};

await acts[process.argv[2]!]!();

/**
 * netpoll's clients: `client.ts await|handler|mux PORT CONNECTIONS SECONDS`.
 */
import process from "node:process";
import { type Connection, dial, lengthPrefixed, Multiplexer, tagged } from "../../mod.ts";
import { checkAnswer, done, measure, REQUEST } from "./requests.mjs";

const [style, port, connections, seconds] = process.argv.slice(2);
const address = `127.0.0.1:${port}`;

async function ask({ reader, writer }: Connection): Promise<void> {
  for (;;) {
    writer.writeBinary(REQUEST);
    await writer.flush();
    await reader.wait(REQUEST.length);
    checkAnswer(reader.next(REQUEST.length));
    reader.release();
    done.count += 1;
  }
}

function onAnswer({ reader, writer }: Connection): void {
  if (reader.length < REQUEST.length) return;
  checkAnswer(reader.next(REQUEST.length));
  reader.release();
  done.count += 1;
  writer.writeBinary(REQUEST);
  void writer.flush();
}

async function begin(): Promise<void> {
  if (style === "await") return void ask(await dial("tcp", address));
  const connection = await dial("tcp", address, { onRequest: onAnswer });
  connection.writer.writeBinary(REQUEST);
  await connection.writer.flush();
}

/** Keeps so many requests under way over one connection. */
async function multiplex(atOnce: number): Promise<void> {
  const mux = new Multiplexer(await dial("tcp", address), tagged(lengthPrefixed()));
  const loop = async () => {
    for (;;) {
      checkAnswer(await mux.request(REQUEST) as Uint8Array);
      done.count += 1;
    }
  };
  for (let i = 0; i < atOnce; i++) void loop();
}

if (style === "mux") await multiplex(Number(connections));
else for (let i = 0; i < Number(connections); i++) await begin();
measure(Number(seconds));

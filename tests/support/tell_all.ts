/**
 * A program: prints all that a user of TLS may print, in every form. Its arguments are the folder with a key, its
 * certificate and its authority, and the password of the key.
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { inspect } from "node:util";
import {
  configure,
  createListener,
  dial,
  EventLoop,
  metrics,
  prometheus,
  type TlsServerOptions,
} from "../../mod.ts";

const [folder, password] = process.argv.slice(2) as [string, string];
const read = (name: string) => readFileSync(`${folder}/${name}`);
const certificate = read("server.pem");
const key = read("encrypted.key");
const authorities = String(read("authority.pem"));
configure({ log: (...all: unknown[]) => tell("log", all) });

/** Prints a value as people do, and in the forms that show the most. */
function tell(what: string, value: unknown): void {
  console.log(what, value);
  console.error(value);
  console.log(`${value}`, inspect(value, { depth: Infinity, showHidden: true, getters: true }));
  try {
    console.log(JSON.stringify(value, (_, one) => typeof one === "bigint" ? `${one}` : one));
  } catch {
    // A circle.
  }
  if (!(value instanceof Error)) return;
  console.log(value.stack, value.cause, (value.cause as Error | undefined)?.stack);
}

async function failing(what: string, run: () => unknown): Promise<void> {
  try {
    await run();
    tell(what, "has not failed");
  } catch (error) {
    tell(what, error);
  }
}

const tls: TlsServerOptions = { certificate, key, password };
const listen = (options: unknown) => () =>
  createListener("tcp", "127.0.0.1:0", { tls: options as TlsServerOptions });
await failing("a wrong password", listen({ ...tls, password: `${password}x` }));
await failing("no password", listen({ certificate, key }));
await failing("a password of another kind", listen({ ...tls, password: Buffer.from(password) }));
await failing("a password as a list", listen({ ...tls, password: [password] }));
await failing("a key in place of a certificate", listen({ ...tls, certificate: key }));
await failing("a torn key", listen({ ...tls, key: key.subarray(0, key.length - 100) }));
await failing("a key as a list", listen({ ...tls, key: [String(key)] }));
await failing("another key", listen({ ...tls, key: read("other.key") }));
await failing("an option that is misspelled", listen({ ...tls, passwort: password }));
await failing(
  "a key without its frame",
  listen({ ...tls, key: String(key).split("\n").slice(1, 3).join("") }),
);
await failing("names", listen({ ...tls, names: { "a.test": { certificate, key, password: 7 } } }));

const listener = createListener("tcp", "127.0.0.1:0", { tls });
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}, {
  onConnect: (connection) => tell("accepted", [connection, connection.tls]),
  onHandshakeError: (error) => tell("refused", error),
});
const served = loop.serve(listener);
const at = `127.0.0.1:${(listener.address as { port: number }).port}`;
await failing("an unknown authority", () => dial("tcp", at, { tls: true, timeoutMs: 5000 }));
await failing("reload", () => listener.reloadTls({ ...tls, password: "wrong" }));
const connection = await dial("tcp", at, { tls: { authorities }, timeoutMs: 5000 });
connection.writer.writeString("hello");
await connection.writer.flush();
await connection.reader.wait(5);
tell("connection", connection);
tell("tls", connection.tls);
tell("listener", listener);
tell("loop", loop);
tell("loop's metrics", loop.metrics({ listedMax: 10 }));
tell("metrics", metrics());
tell("prometheus", prometheus(metrics()));
await connection.close();
await loop.shutdown({ timeoutMs: 100 });
await served;
tell("after", [connection, listener, loop]);

// deno run --allow-ffi --allow-net --allow-read examples/tls_echo.ts AT KEY CERT   or   bun examples/tls_echo.ts …

/**
 * Echoes over TLS, at the address given. Try it with `openssl s_client -quiet -connect
 * localhost:6443`; a key and a certificate for trials are made by `openssl req -x509 -newkey
 * rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost`. SIGHUP reads both files
 * again; connections that are there go on.
 *
 * @module
 */
import "./one_line.ts";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createListener, EventLoop, shutdownOnSignals } from "../mod.ts";

const [at, keyPath, certificatePath] = process.argv.slice(2);
if (at === undefined || keyPath === undefined || certificatePath === undefined) {
  console.error("usage: tls_echo.ts HOST:PORT KEY CERTIFICATE");
  process.exit(2);
}

const tls = () => ({
  key: readFileSync(keyPath, "utf8"),
  certificate: readFileSync(certificatePath, "utf8"),
});

const listener = createListener("tcp", at, { tls: tls() });
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}, { onHandshakeError: (error) => console.warn(error.message) });

process.on("SIGHUP", () => listener.reloadTls(tls()));
shutdownOnSignals(loop, { timeoutMs: 5000 });

const { address } = listener;
if (address.transport === "tcp") {
  console.log(`Listening on ${address.hostname}:${address.port}; Ctrl-C stops it`);
}
await loop.serve(listener);

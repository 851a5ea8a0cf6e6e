// deno run --allow-ffi --allow-net --allow-read examples/tls_echo.ts AT KEY CERT   or   bun examples/tls_echo.ts …

/**
 * Echoes over TLS, at the address given, with a key and a certificate; those for trials are made by
 * `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost`.
 * SIGHUP reads both files again; connections that are there go on.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { EventLoop, shutdownOnSignals } from "../mod.ts";
import { fail, listen, placeOf, readArguments } from "./command_line.ts";

const USAGE = `Usage: tls_echo.ts HOST:PORT KEY CERTIFICATE

  KEY           the file of a private key, in PEM
  CERTIFICATE   the file of its certificate, and of those that lead to its authority`;

const { at, operands: [keyPath, certificatePath] } = readArguments(USAGE, 6443, {}, 2);
if (keyPath === undefined || certificatePath === undefined) fail(USAGE, 2);

/** The key and the certificate that the files have now. */
const tls = () => ({
  key: readFileSync(keyPath, "utf8"),
  certificate: readFileSync(certificatePath, "utf8"),
});

const loop = new EventLoop(({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}, {
  connectionsMax: 10_000,
  idleTimeoutMs: 10 * 60_000,
  onHandshakeError: (error) => console.warn(error.message),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const listener = listen(at, { tls: tls() });
process.on("SIGHUP", () => {
  try {
    listener.reloadTls(tls());
  } catch (error) {
    console.warn(`The old certificate stays: ${(error as Error).message}`);
  }
});

const { at: place } = placeOf(listener);
console.log(`Listening on ${place}; Ctrl-C stops it`);
console.log(`Try: openssl s_client -quiet -connect ${place}`);
await loop.serve(listener);
console.log("Stopped");

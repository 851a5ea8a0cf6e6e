// deno run --allow-ffi --allow-net --allow-read examples/tls_echo.ts AT KEY CERT   or   bun examples/tls_echo.ts …

/**
 * A TLS server that echoes lines, at the address given: the runtime's own TLS, with
 * netpoll's reader and writer on top. Try it with `openssl s_client -quiet -connect localhost:6443`;
 * a key and a certificate for trials are made by `openssl req -x509 -newkey rsa:2048 -nodes
 * -keyout key.pem -out cert.pem -subj /CN=localhost`.
 *
 * The sockets are those of node:tls, so this scales as they do, and not as an `EventLoop`. `flush()`
 * holds a handler back whose client does not read, in both runtimes. What they do not do: Deno reads
 * on while nobody waits for more, so a client that sends without end fills the memory, and it takes
 * a connection that was cut for one that has ended; Bun stops reading. A proxy in front does better.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { createServer, type TLSSocket } from "node:tls";
import { EofError, readerFrom, writerTo } from "../mod.ts";

const LF = 10;
const LINE_BYTES_MAX = 64 << 10;

const [address, keyPath, certPath] = process.argv.slice(2);
if (address === undefined || keyPath === undefined || certPath === undefined) {
  console.error("usage: tls_echo.ts HOST:PORT KEY CERTIFICATE");
  process.exit(2);
}

async function serve(socket: TLSSocket): Promise<void> {
  await using reader = readerFrom(socket);
  await using writer = writerTo(socket); // its close() sends what was flushed, and then the end
  for (;;) {
    const length = await reader.waitUntil(LF, { maxBytes: LINE_BYTES_MAX });
    writer.writeBinary(reader.next(length));
    await writer.flush();
    reader.release();
  }
}

const sockets = new Set<TLSSocket>();
const options = { key: readFileSync(keyPath), cert: readFileSync(certPath) };
const server = createServer(options, (socket) => {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  serve(socket).catch((error) => {
    if (error instanceof EofError && error.cause === undefined) return; // the client is done
    console.error(error);
    socket.destroy();
  });
});

const colon = address.lastIndexOf(":");
server.listen(Number(address.slice(colon + 1)), address.slice(0, colon), () => {
  const at = server.address() as { address: string; port: number };
  console.log(`Listening on ${at.address}:${at.port}; Ctrl-C stops it`);
});

process.once("SIGINT", () => {
  server.close();
  for (const socket of sockets) socket.destroy();
});

// deno run --allow-ffi --allow-net --allow-read examples/runtime_tls.ts AT KEY CERT [CLIENTS]   or   bun …

/**
 * Echoes over the runtime's own TLS, at the address given: a server of `node:net` accepts, `node:tls`
 * does the handshake, and `Connection.fromDuplex` makes a connection of the secure socket. With
 * CLIENTS, a file of authorities, clients must show a certificate of theirs.
 *
 * `secure.emit("connection", socket)` is the safe way to secure a socket that was accepted already. A
 * bare `new TLSSocket(socket, { isServer, requestCert })` lets self-signed clients in, in Deno and in
 * Node. docs/DUPLEX.md says what else each runtime does not do; tls_echo.ts is an echo over TLS that
 * has no such gaps.
 *
 * Try it as tls_echo.ts: `openssl s_client -quiet -connect localhost:6443`.
 *
 * @module
 */
import "./one_line.ts";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import { Connection } from "../mod.ts";

const [at, keyPath, certificatePath, clientsPath] = process.argv.slice(2);
if (at === undefined || keyPath === undefined || certificatePath === undefined) {
  console.error("usage: runtime_tls.ts HOST:PORT KEY CERTIFICATE [CLIENTS]");
  process.exit(2);
}

const secure = createTlsServer({
  key: readFileSync(keyPath),
  cert: readFileSync(certificatePath),
  ...(clientsPath === undefined
    ? {}
    : { ca: readFileSync(clientsPath), requestCert: true, rejectUnauthorized: true }),
});
secure.on("secureConnection", (socket) => {
  Connection.fromDuplex(socket, {
    idleTimeoutMs: 60_000,
    onRequest({ reader, writer }) {
      writer.writeBinary(reader.next(reader.length));
      void writer.flush();
      reader.release();
    },
  });
});
secure.on("tlsClientError", (error) => console.warn(error.message));

const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {}); // of a handshake that is cut; the connection has its own
  secure.emit("connection", socket);
});
const end = at.lastIndexOf(":");
server.on("error", ({ code }: NodeJS.ErrnoException) => {
  throw Object.assign(new Error(`Cannot listen on ${at}`), { code });
});
server.listen(Number(at.slice(end + 1)), at.slice(0, end), () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`Listening on ${address}:${port}; Ctrl-C stops it`);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(0));

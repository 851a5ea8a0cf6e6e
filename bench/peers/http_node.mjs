/** node:http, in the thread of whoever imports this. */
import { once } from "node:events";
import { createServer } from "node:http";

/** Answers every request with a text, "ok" unless given. The port. */
export async function serveHttp(text = "ok") {
  const headers = { "Content-Type": "text/plain", "Content-Length": Buffer.byteLength(text) };
  const server = createServer((_, response) => response.writeHead(200, headers).end(text));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

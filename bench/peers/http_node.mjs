// deno-lint-ignore-file explicit-module-boundary-types -- types are in the comments here
/** node:http, in the thread of whoever imports this. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * Answers every request with a text, "ok" unless given.
 *
 * @param {string} [text]
 * @returns {Promise<number>} The port.
 */
export async function serveHttp(text = "ok") {
  const headers = { "Content-Type": "text/plain", "Content-Length": Buffer.byteLength(text) };
  const server = createServer((_, response) => response.writeHead(200, headers).end(text));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

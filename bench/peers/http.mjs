// deno-lint-ignore-file explicit-module-boundary-types -- types are in the comments here
/**
 * A runtime's own HTTP server, in the thread that imports this; alone, `http.mjs TEXT` answers every
 * request with a text and prints "listening PORT".
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer } from "node:http";
import process from "node:process";

const { Bun, Deno } = globalThis;
const AT = { hostname: "127.0.0.1", port: 0 };

/**
 * Answers every request with a text, "ok" unless given.
 *
 * @param {string} [text]
 * @returns {Promise<number>} The port.
 */
export async function serveHttp(text = "ok") {
  if (Bun) return Bun.serve({ ...AT, fetch: () => new Response(text) }).port;
  if (Deno) return Deno.serve({ ...AT, onListen() {} }, () => new Response(text)).addr.port;
  const headers = { "Content-Type": "text/plain", "Content-Length": Buffer.byteLength(text) };
  const server = createServer((_, response) => response.writeHead(200, headers).end(text));
  server.listen(AT.port, AT.hostname);
  await once(server, "listening");
  return server.address().port;
}

if (process.argv[1]?.endsWith("peers/http.mjs")) {
  console.log(`listening ${await serveHttp(process.argv[2])}`);
}

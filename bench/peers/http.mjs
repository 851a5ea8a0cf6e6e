/**
 * A runtime's own HTTP server: `http.mjs http_bun.ts|http_deno.ts|http_node.mjs`. Answers every
 * request with "Hello, World!" and prints "listening PORT".
 */
import process from "node:process";

const { serveHttp } = await import(`./${process.argv[2]}`);
console.log(`listening ${await serveHttp("Hello, World!")}`);

/**
 * An echo on Deno.listen, with web streams: `deno_streams.ts PORT`.
 */
import process from "node:process";

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
console.log(`listening ${listener.addr.port}`);
for await (const connection of listener) {
  connection.setNoDelay();
  connection.readable.pipeTo(connection.writable).catch(() => {}); // the client went away
}

// deno run --allow-net examples/compare/deno_listen.ts

/**
 * The server of examples/echo_server.ts with Deno.listen.
 *
 * `read` gives what is there, up to 512 bytes, and `write` takes what fits: both are loops, each
 * round is a promise, and an idle connection holds its buffer and a promise that waits in `read`.
 *
 * @module
 */
const [hostname, port] = (Deno.args[0] ?? "localhost:6382").split(":");

/** Reads until the message is full; false at the end of the stream. */
async function readFull(connection: Deno.Conn, message: Uint8Array): Promise<boolean> {
  for (let filled = 0; filled < message.length;) {
    const count = await connection.read(message.subarray(filled));
    if (count === null) return false;
    filled += count;
  }
  return true;
}

async function writeFull(connection: Deno.Conn, message: Uint8Array): Promise<void> {
  for (let written = 0; written < message.length;) {
    written += await connection.write(message.subarray(written));
  }
}

async function serve(connection: Deno.Conn): Promise<void> {
  using _ = connection;
  const message = new Uint8Array(512);
  while (await readFull(connection, message)) await writeFull(connection, message);
}

const listener = Deno.listen({ hostname: hostname!, port: Number(port) });
console.log("Listening on", listener.addr);
for await (const connection of listener) {
  serve(connection).catch(() => {}); // a peer that went away
}

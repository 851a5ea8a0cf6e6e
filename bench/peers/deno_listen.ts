/**
 * An echo on Deno.listen, with read and write: `deno_listen.ts PORT MESSAGE_BYTES`.
 */
import process from "node:process";

/** Small where messages are: the array is what an idle connection costs most. */
const BUFFER_BYTES_MIN = 4096;
const BUFFER_BYTES_MAX = 64 * 1024;

const bufferBytes = Math.min(
  Math.max(Number(process.argv[3] ?? 0), BUFFER_BYTES_MIN),
  BUFFER_BYTES_MAX,
);

/** `write` takes what the socket takes. */
async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  let written = await connection.write(bytes);
  while (written < bytes.length) written += await connection.write(bytes.subarray(written));
}

async function echo(connection: Deno.TcpConn): Promise<void> {
  connection.setNoDelay();
  const buffer = new Uint8Array(bufferBytes);
  try {
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) break;
      await writeAll(connection, buffer.subarray(0, count));
    }
  } catch {
    // The client went away.
  } finally {
    connection.close();
  }
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
console.log(`listening ${listener.addr.port}`);
for await (const connection of listener) void echo(connection);

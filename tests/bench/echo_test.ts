/**
 * The C server that everything is divided by, as far as peers_test.ts does not test it.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { Server } from "../../bench/harness/child.ts";
import { startEcho } from "../support/bench_programs.ts";
import { until } from "../support/until.ts";

/** A client that keeps what it gets. */
interface Client {
  socket: Socket;
  received: Buffer[];
  receivedBytes: number;
}

async function dial(port: number): Promise<Client> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const client: Client = { socket, received: [], receivedBytes: 0 };
  socket.on("data", (bytes: Buffer) => {
    client.received.push(bytes);
    client.receivedBytes += bytes.length;
  });
  await once(socket, "connect");
  return client;
}

function frame(payload: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return Buffer.concat([length, payload]);
}

/** Frames with payloads that differ: their number, all through. */
function frames(count: number, payloadBytes: number): Buffer {
  const all = Array.from({ length: count }, (_, index) => frame(Buffer.alloc(payloadBytes, index)));
  return Buffer.concat(all);
}

async function withServer(
  options: string,
  count: number,
  call: (clients: Client[], server: Server) => Promise<void>,
): Promise<void> {
  const server = await startEcho(options);
  const clients: Client[] = [];
  try {
    while (clients.length < count) clients.push(await dial(server.port));
    await call(clients, server);
  } finally {
    for (const { socket } of clients) socket.destroy();
    await server.stop();
  }
}

/** Waits for so many bytes and compares them. */
async function expectBytes(client: Client, expected: Buffer): Promise<void> {
  await until(() => client.receivedBytes >= expected.length, `${expected.length} bytes`);
  assert(Buffer.concat(client.received).equals(expected));
}

for (const mode of ["framed", "tail"]) {
  for (const bufferBytes of [3, 64]) {
    test(`echo -m ${mode} -b ${bufferBytes} answers frames that come in pieces, in order`, async () => {
      await withServer(`-m ${mode} -b ${bufferBytes}`, 1, async ([client]) => {
        const bytes = Buffer.concat([frames(150, 30), frames(3, 1000), frames(2, 0)]);
        for (let at = 0; at < 100; at++) client!.socket.write(bytes.subarray(at, at + 1));
        client!.socket.write(bytes.subarray(100));
        await expectBytes(client!, bytes);
      });
    });
  }
}

test("echo -m broadcast goes on when a receiver is gone", async () => {
  await withServer("-m broadcast", 3, async ([a, b, c]) => {
    b!.socket.resetAndDestroy();
    for (let i = 1; i <= 20; i++) {
      a!.socket.write(frames(1, 100));
      await until(() => c!.receivedBytes === i * 104, "the next frame");
    }
  });
});

for (const how of ["", " -r"]) {
  test(`echo -t 2${how} answers on two threads, each its own connections`, async () => {
    await withServer(`-t 2${how}`, 20, async (clients, { pid }) => {
      const ours = readdirSync(`/proc/${pid}/task`);
      assertEquals(ours.length, how === "" ? 3 : 2);
      for (const [n, { socket }] of clients.entries()) socket.write(Buffer.alloc(1000, n));
      for (const [n, client] of clients.entries()) {
        await expectBytes(client, Buffer.alloc(1000, n));
      }
    });
  });
}

/**
 * The C server that everything is divided by, as far as peers_test.ts does not test it.
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { Server } from "../../bench/harness/child.ts";
import { startEcho } from "../support/bench_programs.ts";
import { delay, until } from "../support/until.ts";

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

/** The most memory that a process ever had, in bytes. */
function peakBytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** What is on its way to a slow client: what the kernel's buffers hold is a part of it. */
const FLOOD_BYTES = 64 * 1024 * 1024;
/** A server that keeps what one client does not read would hold most of the flood. */
const PEAK_BYTES_MAX = 16 * 1024 * 1024;

for (const mode of ["echo", "framed", "broadcast"]) {
  test(`echo -m ${mode} holds little for a client that does not read, and loses nothing`, async () => {
    await withServer(`-m ${mode}`, 2, async ([sender, other], server) => {
      const receiver = mode === "broadcast" ? other! : sender!;
      const piece = frames(16, 65532);
      const total = FLOOD_BYTES / piece.length;
      receiver.socket.pause();
      for (let i = 0; i < total; i++) sender!.socket.write(piece);
      // Until the sender no longer gets rid of anything.
      for (let left = -1; left !== sender!.socket.writableLength; await delay(100)) {
        left = sender!.socket.writableLength;
      }
      receiver.socket.resume();
      for (let before = 0; before < FLOOD_BYTES; before = receiver.receivedBytes) {
        await until(() => receiver.receivedBytes > before, "the rest of it");
      }
      assert(Buffer.concat(receiver.received).equals(Buffer.concat(Array(total).fill(piece))));
      assertLess(peakBytes(server.pid), PEAK_BYTES_MAX);
    });
  });
}

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

/**
 * A program: makes calls of netpoll, and prints what the sandbox says to each. It stands beside
 * tests/runtime/own_calls.ts, which makes the runtime's own.
 */
import process from "node:process";
import {
  ConnectionPool,
  createListener,
  dial,
  lengthPrefixed,
  reconnecting,
  socketPair,
  tagged,
} from "../../mod.ts";
import { printVerdicts } from "./verdict.ts";

async function sendFile(path: string): Promise<void> {
  const [a, b] = socketPair();
  try {
    // Opened, and nothing of it sent: some files of /proc have no end.
    await a.sendFile(path, { length: 0 });
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

async function receiveFile(path: string): Promise<void> {
  const [a, b] = socketPair();
  try {
    await a.receiveFile(path, 0);
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

async function acquire(address: string): Promise<void> {
  await using pool = new ConnectionPool(address);
  await pool.use(() => {});
}

async function request(address: string): Promise<void> {
  await using client = reconnecting(address, tagged(lengthPrefixed()));
  // Where it may go nobody listens: it waits for somebody.
  await client.request("hello", { timeoutMs: 100 });
}

console.log(`terminal ${process.stdin.isTTY} ${process.stderr.isTTY}`);
await printVerdicts({
  connect: async (address) => (await dial("tcp", address, { timeoutMs: 2000 })).close(),
  acquire,
  request,
  listen: (address) => createListener("tcp", address).close(),
  connectUnix: async (path) => (await dial("unix", path)).close(),
  listenUnix: (path) => createListener("unix", path).close(),
  open: sendFile,
  write: receiveFile,
}, process.argv[2]!);

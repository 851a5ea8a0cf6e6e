/**
 * A program: a Worker serves a port. At each SIGHUP it is terminated, the number of descriptors
 * that are open then is printed, and another Worker takes the port.
 */
import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createListener, EventLoop, type TcpAddress } from "../../mod.ts";
import { onError, onPrepare, onRequest, options } from "./party.ts";

/** The first Worker leaves what the runtime keeps for the next ones. */
const FIRST_MS = 500;
/** A machine that is busy ends a thread late. */
const SETTLE_MS_MAX = 10_000;

/** Files are the runtime's own, and the one in which the handler makes notes. */
function isFile(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/");
  } catch {
    return true; // the one that listed them
  }
}

/** Sockets, pipes, timers and the like that are open. */
function descriptorCount(): number {
  return readdirSync("/proc/self/fd").filter((fd) => !isFile(fd)).length;
}

function serve(port: number): void {
  const loop = new EventLoop(onRequest, { ...options, onPrepare, onError });
  void loop.serve(createListener("tcp", `127.0.0.1:${port}`));
  parentPort!.postMessage("serves");
}

function startWorker(port: number): Worker {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: port });
  worker.on("message", (text) => console.log(text));
  return worker;
}

/**
 * How many are open when the thread of a Worker has ended, which comes after its `terminate`: as many
 * as after the one before, unless some are left for good.
 */
async function settled(usual: number): Promise<number> {
  const end = performance.now() + (usual === 0 ? FIRST_MS : SETTLE_MS_MAX);
  while (performance.now() < end && (usual === 0 || descriptorCount() > usual)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return descriptorCount();
}

function main(): void {
  const listener = createListener("tcp", "127.0.0.1:0");
  const { port } = listener.address as TcpAddress;
  listener.close();
  console.log(`port ${port}`);
  let worker = startWorker(port);
  let usual = 0;
  process.on("SIGHUP", async () => {
    await worker.terminate();
    console.log(`held ${usual = await settled(usual)}`);
    worker = startWorker(port);
  });
}

if (isMainThread) main();
else serve(workerData as number);

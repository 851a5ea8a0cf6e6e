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

function main(): void {
  const listener = createListener("tcp", "127.0.0.1:0");
  const { port } = listener.address as TcpAddress;
  listener.close();
  console.log(`port ${port}`);
  let worker = startWorker(port);
  process.on("SIGHUP", async () => {
    await worker.terminate();
    // Before anything new is opened; the thread may need a moment more for its last words.
    const end = performance.now() + 1000;
    let least = descriptorCount();
    for (let before = Infinity; least < before && performance.now() < end;) {
      before = least;
      await new Promise((resolve) => setTimeout(resolve, 50));
      least = descriptorCount();
    }
    console.log(`held ${least}`);
    worker = startWorker(port);
  });
}

if (isMainThread) main();
else serve(workerData as number);

/**
 * netpoll's echo on several cores:
 * `cores.ts POLLERS handover|reuseport LOAD_BALANCE BLOCK_MICROS [HTTP_MODULE]`, on a free port.
 *
 * At SIGUSR2 it prints what each poller has served and holds, as JSON. With HTTP_MODULE the main
 * thread has a life of its own: it prints "http PORT" as well, and at SIGUSR2 how late its timers
 * were since the last time. This is the handler module of its Workers, too.
 */
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import {
  Cluster,
  type ClusterOptions,
  configure,
  type Connection,
  createListener,
  type PollerContext,
} from "../../mod.ts";
import { watchTimers } from "./lateness.ts";

/** What the Workers share: their parameters, and how often each was asked. */
interface Data {
  readonly blockMicros: number;
  readonly asked: SharedArrayBuffer;
}

let asked: Float64Array = new Float64Array(1);
let me = 0;

export function setup({ index, data }: PollerContext): void {
  const { blockMicros, asked: shared } = data as Data;
  configure({ blockMicros });
  asked = new Float64Array(shared);
  me = index;
}

export function onRequest({ reader, writer }: Connection): void {
  asked[me]! += 1;
  writer.writeBinary(reader.next(reader.length));
  writer.flush();
  reader.release();
}

if (isMainThread) {
  const [pollers, mode, loadBalance, blockMicros, httpModule] = process.argv.slice(2);
  const pollerCount = Number(pollers);
  const data: Data = {
    blockMicros: Number(blockMicros),
    asked: new SharedArrayBuffer(pollerCount * Float64Array.BYTES_PER_ELEMENT),
  };
  const isShared = mode === "reuseport";
  const cluster = new Cluster(new URL(import.meta.url), {
    pollerCount,
    data,
    acceptMode: isShared ? "reuseport" : "handover",
    ...isShared ? {} : { loadBalance: loadBalance as ClusterOptions["loadBalance"] },
  });
  const listener = createListener("tcp", "127.0.0.1:0", { reusePort: isShared });
  const timers = httpModule === undefined ? null : watchTimers();
  void cluster.serve(listener);
  process.on("SIGUSR2", () => {
    const connections = cluster.pollers.map(({ connectionCount }) => connectionCount);
    const lateness = timers?.();
    console.log(
      JSON.stringify({ asked: [...new Float64Array(data.asked)], connections, lateness }),
    );
  });
  const { address } = listener;
  if (address.transport === "tcp") console.log(`listening ${address.port}`);
  if (httpModule !== undefined) {
    const { serveHttp } = await import(`../peers/${httpModule}`);
    console.log(`http ${await serveHttp()}`);
  }
}

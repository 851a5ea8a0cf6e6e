/**
 * netpoll's echo on several cores: `cores.ts POLLERS LOAD_BALANCE|reuseport BLOCK_MICROS [http]`, on
 * a free port.
 *
 * At SIGUSR2 it prints the requests and the connections of each poller, as JSON. With "http" its main
 * thread serves HTTP, prints "http PORT", and its report has the lateness of a timer of 1 ms. This is
 * the handler module of its Workers, too.
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
import { serveHttp } from "../peers/http.mjs";
import { reportOf, watchTimer } from "./lateness.ts";

/** Data of the Workers: their parameter, and the number of requests of each. */
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
  const [pollers, balance, blockMicros, http] = process.argv.slice(2);
  const pollerCount = Number(pollers);
  const data: Data = {
    blockMicros: Number(blockMicros),
    asked: new SharedArrayBuffer(pollerCount * Float64Array.BYTES_PER_ELEMENT),
  };
  const isShared = balance === "reuseport";
  const cluster = new Cluster(new URL(import.meta.url), {
    pollerCount,
    data,
    acceptMode: isShared ? "reuseport" : "handover",
    ...isShared ? {} : { loadBalance: balance as ClusterOptions["loadBalance"] },
  });
  const listener = createListener("tcp", "127.0.0.1:0", { reusePort: isShared });
  const lateness = http === undefined ? [] : watchTimer(1);
  void cluster.serve(listener);
  process.on("SIGUSR2", () => {
    const connections = cluster.pollers.map(({ connectionCount }) => connectionCount);
    const asked = [...new Float64Array(data.asked)];
    console.log(JSON.stringify({ asked, connections, lateness: reportOf(lateness) }));
  });
  const { address } = listener;
  if (address.transport === "tcp") console.log(`listening ${address.port}`);
  if (http !== undefined) console.log(`http ${await serveHttp()}`);
}

// deno run --allow-ffi --allow-net examples/metered_server.ts   or   bun examples/metered_server.ts

/**
 * An echo server that tells what it does, over HTTP and to this machine only: `/metrics` is for
 * Prometheus, `/snapshot` is JSON, which examples/top.ts draws. The echo is at localhost:6382, what
 * it tells at localhost:9464, or at the addresses given; a path is a Unix socket.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import {
  type ClusterMetrics,
  configure,
  type Connection,
  createListener,
  EventLoop,
  type LoopMetrics,
  type Metrics,
  metrics,
  prometheus,
  shutdownOnSignals,
} from "../mod.ts";

/** The content of `/snapshot`. */
export interface Snapshot {
  /** The result of `metrics()` or `cluster.metrics()`. */
  metrics: Metrics | ClusterMetrics;
  /** The result of `loop.metrics()`; null where there are several loops. */
  loop: LoopMetrics | null;
}

const REQUEST_BYTES_MAX = 8192;
const CONNECTIONS_MAX = 100;

function answer(status: string, type: string, body: string): string {
  const length = new TextEncoder().encode(body).length;
  const head = ["Connection: close", `Content-Type: ${type}`, `Content-Length: ${length}`];
  return `HTTP/1.1 ${status}\r\n${head.join("\r\n")}\r\n\r\n${body}`;
}

/** Answers one request for what `look` sees at that moment. */
export function exposeMetrics(
  address: string,
  look: () => Promise<Snapshot> | Snapshot,
): EventLoop {
  const loop = new EventLoop(async (connection: Connection) => {
    const { reader, writer } = connection;
    const end = await reader.waitUntil("\r\n\r\n", {
      maxBytes: REQUEST_BYTES_MAX,
    });
    const [, path] = reader.readString(end).split(" ", 2);
    reader.release();
    if (path === "/metrics") {
      const text = prometheus((await look()).metrics);
      writer.writeString(answer("200 OK", "text/plain; version=0.0.4", text));
    } else if (path === "/snapshot") {
      writer.writeString(answer("200 OK", "application/json", JSON.stringify(await look())));
    } else {
      writer.writeString(
        answer("404 Not Found", "text/plain", "There are /metrics and /snapshot\n"),
      );
    }
    await writer.flush();
    await connection.closeWrite();
  }, { idleTimeoutMs: 5000, connectionsMax: 16 });
  const network = /^[/@]/.test(address) ? "unix" : "tcp";
  void loop.serve(createListener(network, address));
  loop.unref(); // it lasts as long as what it tells of
  return loop;
}

if (import.meta.main) {
  configure({ measure: true });
  const [at = "localhost:6382", tellsAt = "localhost:9464"] = process.argv.slice(2);
  const listener = createListener("tcp", at);
  const loop = new EventLoop(({ reader, writer }) => {
    writer.writeBinary(reader.next(reader.length));
    void writer.flush();
    reader.release();
  });
  const telling = exposeMetrics(tellsAt, () => ({
    metrics: metrics(),
    loop: loop.metrics({ listedMax: CONNECTIONS_MAX }),
  }));
  shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
  const { address } = listener;
  const { address: where } = telling.metrics().listeners[0]!;
  for (const [what, one] of [["Listening", address], ["Telling", where]] as const) {
    console.log(`${what} on ${one.transport === "tcp" ? `${one.hostname}:${one.port}` : one.path}`);
  }
  await loop.serve(listener);
  await telling.shutdown({ timeoutMs: 100 });
}

/**
 * serve: a cluster from its start to the signal that ends it, in one call.
 */
import { checkOptions, checkSignal } from "../core/options.ts";
import type { Listener } from "../net/listener_contract.ts";
import { Cluster } from "./cluster.ts";
import { SERVE_OPTIONS, type ServeOptions } from "./cluster_options.ts";
import { shutdownOnSignals } from "./signals.ts";

/**
 * Serves a listener on several cores until SIGINT or SIGTERM, or until `signal` is aborted: then
 * running requests finish, within `timeoutMs`, and it returns. A second signal ends the process.
 *
 * `handler` is a {@linkcode HandlerModule}. Under Deno the program needs `--allow-read` for it, as
 * every Worker does.
 *
 * @throws {TypeError} The handler module is none, or an option means nothing.
 * @throws {NetpollError} A Worker could not start.
 * @throws {SystemError} The listener broke, or cannot be watched.
 *
 * @example
 * ```ts
 * import { isMainThread } from "node:worker_threads";
 * import { type Connection, createListener, serve } from "@netpoll/netpoll";
 *
 * // The module is its own handler module: this is what each Worker takes from it.
 * export function onRequest({ reader, writer }: Connection) {
 *   writer.writeBinary(reader.next(reader.length));
 *   writer.flush();
 *   reader.release();
 * }
 *
 * if (isMainThread) {
 *   const listener = createListener("tcp", "localhost:6382");
 *   await serve(listener, new URL(import.meta.url), { pollerCount: 2 });
 * }
 * ```
 */
export async function serve(
  listener: Listener,
  handler: URL,
  options: ServeOptions = {},
): Promise<void> {
  checkOptions("serve", options, SERVE_OPTIONS);
  checkSignal("serve", options.signal);
  const { signals, signal, timeoutMs = 10_000, ...rest } = options;
  const cluster = new Cluster(handler, rest);
  const forget = shutdownOnSignals(cluster, { signals, timeoutMs, exit: false });
  const stop = () => void cluster.shutdown({ timeoutMs });
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  try {
    await cluster.serve(listener);
  } finally {
    signal?.removeEventListener("abort", stop);
    forget();
  }
}

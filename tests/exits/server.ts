/**
 * A program: a server under load that ends in the way of its first argument, when SIGHUP comes. The
 * second says where its end begins: in a signal's listener, a timer, an immediate, a microtask or a
 * handler. The third says whether it is a "loop" or a "cluster", and the fourth is its port.
 */
import process from "node:process";
import { setImmediate, setTimeout } from "node:timers";
import { Cluster, createListener, EventLoop, shutdownOnSignals } from "../../mod.ts";
import { ownExit } from "../runtime/own_exit.ts";
import { actInHandler, onError, onPrepare, onRequest, options } from "./party.ts";

const [way, place, shape, port] = process.argv.slice(2);

const server = shape === "cluster"
  ? new Cluster(new URL("./party.ts", import.meta.url), { pollerCount: 2 })
  : new EventLoop(onRequest, { ...options, onPrepare, onError });

const WAYS: Readonly<Record<string, () => void>> = {
  "process.exit": () => process.exit(3),
  "own exit": () => ownExit(3),
  shutdown: () => void server.shutdown({ timeoutMs: 5000 }),
  unref: () => server.unref(),
  throw: () => {
    throw new Error("thrown on purpose");
  },
  rejection: () => void Promise.reject(new Error("rejected on purpose")),
};

// A failure in a handler is its connection's: such an end begins in a task of its own.
const fails = way === "throw" || way === "rejection";
const PLACES: Readonly<Record<string, (act: () => void) => void>> = {
  listener: (act) => act(),
  timer: (act) => void setTimeout(act, 1),
  immediate: (act) => void setImmediate(act),
  microtask: (act) => queueMicrotask(act),
  handler: (act) => actInHandler(fails ? () => queueMicrotask(act) : act),
};

if (way === "signals") shutdownOnSignals(server, { timeoutMs: 5000 });
process.on("SIGHUP", () => {
  const act = WAYS[way!];
  if (act !== undefined) PLACES[place!]!(act);
});
// Little room in the kernel: some of what is flushed waits in our own memory when the end comes.
const listener = createListener("tcp", `127.0.0.1:${port}`, { sendBufferBytes: 64 * 1024 });
const served = server.serve(listener);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : 0}`);
// A program that awaits what never settles does not fall off its end.
if (way !== "unref") await served;

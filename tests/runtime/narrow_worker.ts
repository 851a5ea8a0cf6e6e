/**
 * A program: starts itself as a Worker with fewer permissions, which makes the calls of its argument
 * (pairs of a call and a target, in JSON) by netpoll and by the runtime, and prints both verdicts.
 */
import process from "node:process";
import { createListener, dial, socketPair } from "../../mod.ts";
import { type Attempted, verdictOf } from "../support/verdict.ts";

interface NarrowOptions extends WorkerOptions {
  deno: { permissions: Record<string, unknown> };
}

const OWN: Record<string, (target: string) => unknown> = {
  connect: async (port) => (await Deno.connect({ port: Number(port) })).close(),
  listen: (port) => Deno.listen({ hostname: "127.0.0.1", port: Number(port) }).close(),
  open: (path) => Deno.openSync(path).close(),
};
const OURS: Record<string, (target: string) => unknown> = {
  connect: async (port) => (await dial("tcp", `127.0.0.1:${port}`)).close(),
  listen: (port) => createListener("tcp", `127.0.0.1:${port}`).close(),
  open: (path) => socketPair()[0].sendFile(path, { length: 0 }),
};

/** The channel of a Worker; the types are those of a main thread. */
interface Scope {
  onmessage: (event: MessageEvent<Attempted[]>) => void;
  postMessage(message: unknown): void;
}

if ("WorkerGlobalScope" in globalThis) {
  const scope = globalThis as unknown as Scope;
  scope.onmessage = async ({ data }) => {
    const told: string[] = [];
    for (const [call, target] of data) {
      const own = await verdictOf(() => OWN[call]!(target));
      const ours = await verdictOf(() => OURS[call]!(target));
      told.push(`${call} ${target}: ${own}, ${ours}`);
    }
    scope.postMessage(told);
  };
} else {
  const [calls, permissions] = process.argv.slice(2).map((text) => JSON.parse(text));
  const options: NarrowOptions = { type: "module", deno: { permissions } };
  const worker = new Worker(import.meta.url, options);
  worker.onmessage = ({ data }) => {
    console.log(data.join("\n"));
    process.exit(0);
  };
  worker.postMessage(calls);
}

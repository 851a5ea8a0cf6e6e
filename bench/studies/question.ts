/**
 * The memory of each server with 1 000 connections of which half are idle: netpoll's introduction
 * asks Go's servers for it. `make question`.
 */
import { availableParallelism } from "node:os";
import { CANDIDATES } from "../harness/candidates.ts";
import { table } from "../harness/markdown.ts";
import { examine, weigh, type Weighed } from "../harness/memory.ts";
import { parse, select } from "../harness/options.ts";
import { Progress } from "../harness/progress.ts";
import { describeMachine, tell } from "../harness/report.ts";

const options = parse({
  only: { help: `servers: ${CANDIDATES.map((one) => one.name).join(",")}` },
  connections: { help: "how many", value: 1000 },
  size: { help: "bytes of a message", value: 512 },
});
const { connections, size: messageBytes } = options;
const busy = connections / 2;

/** The growth of a figure in bytes for each connection, in KiB. */
function growth<K extends string>({ before, after }: Weighed<Record<K, number>>, key: K): string {
  return ((after[key] - before[key]) / connections / 1024).toFixed(2);
}

const HEADS = ["server", "threads", "promises", "buffers, KiB each", "resident, KiB each"];

const NOTES = `
- threads: of the whole process, with ${connections} connections open (/proc/PID/status). The runtimes' own are
  most of them: compilers, collectors, pools. Ours adds one, which sleeps while there is traffic.
- promises: how many more Promise objects are alive than before the connections, after a full collection: all
  that the program, the library and the runtime hold. Counted in the heap by v8.queryObjects (Deno, Node)
  and bun:jsc heapStats (Bun), so no server counts its own.
- buffers: memory outside of the heap that JavaScript objects keep, divided by the connections, after a full
  collection (process.memoryUsage().external; heapStats().extraMemorySize). For ours: the blocks in use.
- resident: growth of the process (VmRSS), divided by the connections, garbage included; what the kernel
  keeps for a socket is not in it.`;

const candidates = select(CANDIDATES, options.only);
const progress = new Progress(candidates.length);
const raw: unknown[] = [];
const rows: string[][] = [];
for (const candidate of candidates) {
  progress.step(candidate.title);
  const all = { connections, busy, messageBytes, isWarmedUp: false };
  const plain = await weigh(candidate, all);
  const inside = await examine(candidate, all);
  raw.push({ name: candidate.name, plain, inside });
  rows.push([
    candidate.title,
    String(plain.after.threads),
    inside === null ? "–" : String(inside.after.promises - inside.before.promises),
    inside === null ? "–" : growth(inside, "bufferBytes"),
    growth(plain, "residentBytes"),
  ]);
}
progress.end();
const markdown = [
  `## ${connections.toLocaleString("en")} connections, half of them idle\n`,
  `On ${availableParallelism()} cores. Every connection sent one message of ${messageBytes} bytes and got it`,
  `back. Then one half says nothing, and of the other half each has sent half of its next message: the server`,
  `waits for the rest.\n`,
  table(HEADS, rows),
  NOTES,
  `\n${describeMachine()}.`,
].join("\n");
tell("question", markdown, raw);

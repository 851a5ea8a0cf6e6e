/**
 * The question that netpoll's introduction asks of Go, asked of JavaScript: with 1 000 connections
 * of which half are idle, what does each server hold? `make question`.
 */
import { availableParallelism } from "node:os";
import { type Candidate, CANDIDATES, select } from "../harness/candidates.ts";
import { examine, type Footprint, type Holdings, weigh, type Weighed } from "../harness/memory.ts";
import { number, parse } from "../harness/options.ts";
import { table } from "../harness/markdown.ts";
import { Progress } from "../harness/progress.ts";
import { describeMachine, tell } from "../harness/report.ts";

const options = parse({
  only: { help: `servers: ${CANDIDATES.map((one) => one.name).join(",")}` },
  connections: { help: "how many", value: "1000" },
  size: { help: "bytes of a message", value: "512" },
});
const connections = number("connections", options.connections);
const messageBytes = number("size", options.size);
const busy = connections / 2;

/** What a figure in bytes grew by for each connection, in KiB. */
function growth<K extends string>({ before, after }: Weighed<Record<K, number>>, key: K): string {
  return ((after[key] - before[key]) / connections / 1024).toFixed(2);
}

function row(
  { title }: Candidate,
  plain: Weighed<Footprint>,
  inside: Weighed<Holdings> | null,
): string[] {
  const promises = inside === null ? "–" : String(inside.after.promises - inside.before.promises);
  return [
    title,
    String(plain.after.threads),
    promises,
    inside === null ? "–" : growth(inside, "bufferBytes"),
    growth(plain, "residentBytes"),
  ];
}

const HEADS = [
  "server",
  "threads",
  "promises",
  "buffers, KiB each",
  "resident, KiB each",
];

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

const progress = new Progress();
const raw: unknown[] = [];
const rows: string[][] = [];
for (const candidate of select(CANDIDATES, options.only)) {
  progress.step(candidate.title);
  const plain = await weigh(candidate, { connections, busy, messageBytes, isWarmedUp: false });
  const inside = await examine(candidate, { connections, busy, messageBytes, isWarmedUp: false });
  raw.push({ name: candidate.name, plain, inside });
  rows.push(row(candidate, plain, inside));
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

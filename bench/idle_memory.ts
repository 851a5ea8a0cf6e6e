/**
 * What an idle connection costs: 10 000 are open, each has sent one message and got it back.
 * `make idle-memory`.
 */
import { type Candidate, CANDIDATES, select } from "./harness/candidates.ts";
import { weigh } from "./harness/memory.ts";
import { number, parse } from "./harness/options.ts";
import { table } from "./harness/markdown.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";

const options = parse({
  only: { help: `servers: ${CANDIDATES.map((one) => one.name).join(",")}` },
  connections: { help: "how many", value: "10000" },
  size: { help: "bytes of a message", value: "64" },
});
const connections = number("connections", options.connections);
const messageBytes = number("size", options.size);

const progress = new Progress();
const raw: unknown[] = [];
const rows: string[][] = [];
async function measure(candidate: Candidate): Promise<void> {
  progress.step(candidate.title);
  const cells: string[] = [];
  for (const isWarmedUp of [false, true]) {
    const all = { connections, busy: 0, messageBytes, isWarmedUp };
    const { before, after } = await weigh(candidate, all);
    raw.push({ name: candidate.name, isWarmedUp, before, after });
    const bytes = (after.residentBytes - before.residentBytes) / connections;
    cells.push(Math.round(bytes).toLocaleString("en"));
  }
  rows.push([candidate.title, ...cells]);
}

for (const candidate of select(CANDIDATES, options.only)) await measure(candidate);
progress.end();
const markdown = [
  `## What an idle connection costs\n`,
  `${
    connections.toLocaleString("en")
  } connections, each after one message of ${messageBytes} bytes.`,
  `Bytes each: growth of the resident memory of the server's process, garbage included, divided by the`,
  `connections. What the kernel keeps for a socket is not in it. The first column is a process that has`,
  `served nothing before: an engine's heap grows to its working size meanwhile. Before the second, short`,
  `connections came and went for two seconds, and what the heap had grown by is filled first.\n`,
  table(["server", "in a new process", "after traffic"], rows),
  `\n${describeMachine()}.`,
].join("\n");
tell("idle_memory", markdown, raw);

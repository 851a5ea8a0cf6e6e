/**
 * The memory of an idle connection: 10 000 are open, each has sent one message and got it back.
 * `make idle-memory`.
 */
import { CANDIDATES } from "./harness/candidates.ts";
import { figure, table } from "./harness/markdown.ts";
import { weigh } from "./harness/memory.ts";
import { parse, select } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";

const options = parse({
  only: { help: `servers: ${CANDIDATES.map((one) => one.name).join(",")}` },
  connections: { help: "how many", value: 10_000 },
  size: { help: "bytes of a message", value: 64 },
});
const { connections, size: messageBytes } = options;
const candidates = select(CANDIDATES, options.only);
const progress = new Progress(2 * candidates.length);
const raw: unknown[] = [];
const rows: string[][] = [];
for (const candidate of candidates) {
  const cells: string[] = [];
  for (const isWarmedUp of [false, true]) {
    progress.step(candidate.title);
    const { before, after } = await weigh(candidate, { connections, messageBytes, isWarmedUp });
    raw.push({ name: candidate.name, isWarmedUp, before, after });
    cells.push(figure((after.residentBytes - before.residentBytes) / connections, 0));
  }
  rows.push([candidate.title, ...cells]);
}
progress.end();
const markdown = [
  `## What an idle connection costs\n`,
  `${figure(connections, 0)} connections, each after one message of ${messageBytes} bytes.`,
  `Bytes each: growth of the resident memory of the server's process, garbage included, divided by the`,
  `connections. What the kernel keeps for a socket is not in it. The first column is a process that has`,
  `served nothing before: an engine's heap grows to its working size meanwhile. Before the second, short`,
  `connections came and went for two seconds, and what the heap had grown by is filled first.\n`,
  table(["server", "in a new process", "after traffic"], rows),
  `\n${describeMachine()}.`,
].join("\n");
tell("idle_memory", markdown, raw);

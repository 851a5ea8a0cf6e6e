/**
 * An outside judge: hyperfine times a fixed job, echoed by each server in turn, on the clock and
 * with its σ, where figures.ts measures CPU.
 */
import { readFileSync } from "node:fs";
import { absence, CANDIDATES } from "./harness/candidates.ts";
import { projectPath, run } from "./harness/child.ts";
import { isInstalled } from "./harness/contest.ts";
import { parse, select } from "./harness/options.ts";
import { describeMachine, keepText, RESULTS } from "./harness/report.ts";
import { withServers } from "./harness/rounds.ts";

const options = parse({
  only: { help: `servers: ${CANDIDATES.map(({ name }) => name).join(",")}` },
  connections: { help: "connections", value: 50 },
  messages: { help: "echoes on each", value: 4000 },
  bytes: { help: "bytes of a message", value: 64 },
  runs: { help: "how often with each server", value: 10 },
  serverCpu: true,
  loadCpu: true,
});
if (!isInstalled("hyperfine")) throw new Error("Cannot measure: hyperfine is not installed");
const { connections, messages, bytes, runs } = options;
const present = select(CANDIDATES, options.only).filter((one) => {
  const reason = absence(one);
  if (reason !== null) console.error(`skipped: ${one.name}: ${reason}`);
  return reason === null;
});
const load = `${projectPath("bench/build/load")} -c ${connections} -s ${bytes} -N ${messages}`;
await withServers(present.map(({ argv }) => argv(bytes)), async (...servers) => {
  const jobs = present.flatMap(({ name }, i) => {
    const job = `${load} -P ${options.loadCpu} -p ${servers[i]!.port}`;
    return ["--command-name", name, job];
  });
  const kept = ["--export-json", `${RESULTS}/hyperfine.json`];
  const told = ["--export-markdown", `${RESULTS}/hyperfine.md`];
  const times = ["--warmup", "1", "--runs", `${runs}`];
  console.log(await run({ argv: ["hyperfine", ...times, ...kept, ...told, ...jobs] }));
}, options.serverCpu);
const about =
  `${connections} connections, ${messages} echoes of ${bytes} B on each, every byte verified`;
const table = readFileSync(`${RESULTS}/hyperfine.md`, "utf8");
keepText(
  "hyperfine.md",
  `## The time that a fixed job takes\n\n${about}; ${describeMachine()}.\n\n${table}`,
);

/**
 * The cost of a large file that is received: `make -C bench receive-file`.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { run, type Server } from "./harness/child.ts";
import { chooser, contest, type Entrant } from "./harness/contest.ts";
import { parse } from "./harness/options.ts";

const FILE_MIB = 1024;
const FILE_BYTES = FILE_MIB * 1024 * 1024;

const options = parse({
  only: { help: "servers by name, with commas between them" },
  rounds: 5,
  serverCpu: true,
  loadCpu: true,
});
// In memory: what a disk does is no CPU of ours, and not the same twice.
const directory = mkdtempSync("/dev/shm/netpoll-receive-");
const file = join(directory, "file");

const WAYS = [
  ["receive", "receiveFile()"],
  ["seen", "receiveFile(), onBytes"],
  ["write", "next() and writeSync"],
] as const;

const RUNTIMES: readonly (readonly [Runtime, string])[] = [["bun", "Bun"], ["deno", "Deno"]];

const targetOf = (name: string) => join(directory, name);

const PIPED = "node:net, piped to a file";

const entrants = RUNTIMES.flatMap(([runtime, title]) => [
  ...WAYS.map(([way, how]) => {
    const name = `${runtime}-${way}`;
    const argv = runFile(runtime, "bench/servers/receive_file.ts", [way, targetOf(name)]);
    return chooser(name, `${title}: ${how}`, argv);
  }),
  chooser(
    `${runtime}-net`,
    `${title}: ${PIPED}`,
    runFile(runtime, "bench/peers/receive_net.mjs", [targetOf(`${runtime}-net`)]),
  ),
]);

type Key = "perMib" | "speed";

async function send({ port }: Server, { name }: Entrant): Promise<Record<Key, number>> {
  const args = [`${port}`, file, `${FILE_BYTES}`];
  const argv = runFile("bun", "bench/servers/receive_file_load.ts", args);
  const told: { cpuMicros: number; seconds: number } = JSON.parse(
    await run({ argv, cpu: options.loadCpu }),
  );
  execFileSync("cmp", [file, targetOf(name)]);
  rmSync(targetOf(name));
  return { perMib: told.cpuMicros / FILE_MIB, speed: FILE_MIB / told.seconds };
}

try {
  execFileSync("dd", [
    "if=/dev/urandom",
    `of=${file}`,
    "bs=1M",
    `count=${FILE_MIB}`,
    "status=none",
  ]);
  await contest<Key>({
    name: "receive_file",
    title: "What it costs to receive a file of 1 GiB",
    about: [
      "Sent by sendfile over TCP, and written to a file in memory (tmpfs). CPU is that of the whole",
      "process, user and system. Each file is compared byte by byte (cmp) when it has come.",
    ],
    entrants,
    bases: [
      ["÷ next() and writeSync", ({ name }) => `${name.split("-")[0]}-write`],
      ["÷ node:net", ({ name }) => `${name.split("-")[0]}-net`],
    ],
    cases: [{ title: "1 connection", measure: send }],
    figures: [
      { key: "perMib", head: "CPU µs/MiB", decimals: 0 },
      { key: "speed", head: "MiB/s", decimals: 0, isAlone: true },
    ],
  }, options);
} finally {
  rmSync(directory, { recursive: true });
}

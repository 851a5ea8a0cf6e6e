/**
 * The cost of `Connection.fromDuplex` over the bare stream of the same runtime, and what a server
 * keeps of what a peer offers that it does not read: `make -C bench duplex`.
 */
import { readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { runFile, type Runtime } from "../harness/candidates.ts";
import { projectPath, run, type Server } from "../harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "../harness/cpus.ts";
import { makeIdentity } from "../harness/identity.ts";
import { figure, figureAndRange, table } from "../harness/markdown.ts";
import { commandLine, parse, select } from "../harness/options.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { inRounds, withServers } from "../harness/rounds.ts";
import { median, ratios, spread } from "../harness/statistics.ts";

const SIZES = [
  { name: "64 B", connections: 50, bytes: 64 },
  { name: "16 KiB", connections: 10, bytes: 16 * 1024 },
  { name: "1 MiB", connections: 4, bytes: 1024 * 1024 },
];
const OFFERED_BYTES = 256 * 1024 * 1024;
const PIECE = new Uint8Array(64 * 1024);
/** A peer that could send nothing for so long is held back. */
const STILL_MS = 1500;
const PAGE_BYTES = 4096;

const options = parse({
  runtimes: true,
  sizes: { help: "which, of 64 B, 16 KiB, 1 MiB", value: "64 B,16 KiB,1 MiB" },
  rounds: 9,
  seconds: 0.5,
  warmup: { help: "seconds of load before all rounds, for each server", value: 3 },
});
const { rounds, seconds } = options;
const sizes = select(SIZES, options.sizes);
const runtimes = select(["bun", "deno"] as const, options.runtimes);
const { directory, key, certificate } = makeIdentity("duplex");

type Kind = "node:net" | "node:tls";
const KINDS: readonly Kind[] = ["node:net", "node:tls"];
const FILES = ["bench/peers/node_net.mjs", "bench/servers/duplex.ts"];

function command(runtime: Runtime, kind: Kind, file: string, mode: string): string[] {
  const secure = kind === "node:tls" ? [key, certificate] : [];
  return runFile(runtime, file, ["0", "16384", mode, ...secure]);
}

/** CPU µs a message. */
async function cost(
  server: Server,
  kind: Kind,
  { connections, bytes }: typeof SIZES[number],
  lasts = seconds,
): Promise<number> {
  const secure = kind === "node:tls" ? ["-a", certificate] : [];
  const shape = { p: server.port, S: server.pid, c: connections, s: bytes, t: lasts, w: 0.1 };
  const program = projectPath(`bench/build/${kind === "node:tls" ? "tls_load" : "load"}`);
  const all = Object.entries(shape).flatMap(([letter, value]) => [`-${letter}`, `${value}`]);
  const told = await run({ argv: [program, ...secure, ...all], cpu: LOAD_CPU });
  return JSON.parse(told).server_us_per_message;
}

function measure(runtime: Runtime, kind: Kind): Promise<number[][]> {
  const argvs = FILES.map((file) => command(runtime, kind, file, "echo"));
  return withServers(argvs, async (...servers) => {
    for (const server of servers) await cost(server, kind, SIZES[0]!, options.warmup);
    const jobs = sizes.flatMap((size) =>
      servers.map((server, i) => ({
        title: `${runtime}, ${kind}, ${["bare", "fromDuplex"][i]}: ${size.name}`,
        measure: () => cost(server, kind, size),
      }))
    );
    return await inRounds(rounds, jobs);
  }, SERVER_CPU);
}

function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
}

/** Offers much to a server that reads nothing: the MiB that it took, and that its memory grew by. */
async function offer(server: Server, kind: Kind): Promise<[number, number]> {
  const before = residentBytes(server.pid);
  const at = { host: "127.0.0.1", port: server.port };
  const ca = readFileSync(certificate);
  const socket: Socket = kind === "node:net"
    ? connect(at)
    : connectTls({ ...at, servername: "localhost", ca });
  socket.on("error", () => {});
  let bytes = 0;
  const pour = () => {
    if (bytes >= OFFERED_BYTES) return;
    bytes += PIECE.length;
    socket.write(PIECE, pour);
  };
  socket.once(kind === "node:net" ? "connect" : "secureConnect", pour);
  let last = -1;
  for (; last < bytes && bytes < OFFERED_BYTES; await setTimeout(STILL_MS)) last = bytes;
  socket.destroy();
  return [bytes >> 20, (residentBytes(server.pid) - before) / (1 << 20)];
}

const costs: string[][] = [];
const kept: string[][] = [];
const raw: unknown[] = [];
try {
  for (const kind of KINDS) {
    for (const runtime of runtimes) {
      const found = await measure(runtime, kind);
      raw.push({ kind, runtime, found });
      sizes.forEach(({ name }, i) => {
        const [bare, ours] = [found[2 * i]!, found[2 * i + 1]!];
        const more = ours.map((micros, round) => micros - bare[round]!);
        costs.push([
          `${kind} in ${runtime}, ${name}`,
          figure(median(bare)),
          figure(median(ours)),
          figureAndRange(spread(more)),
          figure(median(ratios(ours, bare))),
        ]);
      });
      const argv = command(runtime, kind, FILES[1]!, "paused");
      const [sent, grown] = await withServers([argv], (server) => offer(server, kind));
      kept.push([`${kind} in ${runtime}`, `${sent}`, figure(grown, 0)]);
      raw.push({ kind, runtime, sent, grown });
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}
const heads = ["CPU µs a message", "bare", "fromDuplex", "more (middle half)", "÷ bare"];
const markdown = [
  "## Connections over streams of the runtime\n",
  `\`${commandLine("make -C bench duplex")}\` on ${new Date().toISOString().slice(0, 10)}.`,
  `Echoes: 64 B over 50 connections, 16 KiB over 10, 1 MiB over 4. Medians of ${rounds} rounds of`,
  `${seconds} s, bare and \`Connection.fromDuplex\` in turn. The second table: a peer offers 256 MiB to`,
  "a connection that is paused, until it could send nothing for a while.\n",
  table(heads, costs),
  "",
  table(["a connection that is not read", "MiB that it took", "MiB of memory more"], kept),
  `\n${describeMachine()}`,
].join("\n");
tell("duplex", markdown, raw);

/**
 * The memory of servers over TLS, and the lateness of their timers while many handshakes come at once.
 */
import { ask, projectPath, run, type Server, startHeld } from "./child.ts";
import type { Entrant, Part } from "./contest.ts";
import { figure, table } from "./markdown.ts";
import { status } from "./memory.ts";
import { inRounds, withServers } from "./rounds.ts";
import { median } from "./statistics.ts";

const IDLE_COUNT = 500;
const HANDSHAKES_COUNT = 500;
const OFFERED_MIB = 256;
/** A server is left alone so long before each look. */
const SETTLE_MS = 300;

/** The figures of a server in one round. */
export interface Weight {
  /** Growth of resident memory for an idle connection, in KiB. */
  readonly idleKib: number;
  /** Growth by a peer that sends and never reads, and the bytes that it could send, in MiB. */
  readonly deafMib: number;
  readonly takenMib: number;
  /** The longest that a timer of 1 ms was late; NaN for what is no JavaScript. */
  readonly lateMs: number;
  /** The most CPU that the process used between two calls of that timer. */
  readonly heldMs: number;
  /** The time of all handshakes, in milliseconds. */
  readonly burstMs: number;
}

/** The settings of the weighing. */
export interface Weighing {
  readonly rounds: number;
  readonly certificate: string;
  readonly serverCpu: number;
  readonly loadCpu: number;
}

const settled = () => new Promise<void>((resolve) => setTimeout(resolve, SETTLE_MS));

async function residentKib({ pid }: Server): Promise<number> {
  await settled();
  return status(pid, "VmRSS");
}

function command({ port, pid }: Server, { certificate, loadCpu }: Weighing, shape: string) {
  const at = ["-p", `${port}`, "-S", `${pid}`, "-a", certificate];
  return { argv: [projectPath("bench/build/tls_load"), ...at, ...shape.split(" ")], cpu: loadCpu };
}

/** The growth while a load holds what it has, and the output of that load. */
async function grown(server: Server, weighing: Weighing, shape: string): Promise<[number, string]> {
  const before = await residentKib(server);
  const held = await startHeld(command(server, weighing, shape));
  const after = await residentKib(server);
  return [after - before, await held.finish()];
}

async function idle(server: Server, weighing: Weighing): Promise<number> {
  await run(command(server, weighing, "-m full -c 10 -t 1"));
  const [kib] = await grown(server, weighing, `-m hold -c ${IDLE_COUNT}`);
  return kib / IDLE_COUNT;
}

async function burst(server: Server, weighing: Weighing, isScript: boolean) {
  await run(command(server, weighing, "-m full -c 10 -t 0.5"));
  if (isScript) {
    await ask(server);
    await settled();
    await ask(server);
  }
  const told = await run(command(server, weighing, `-m burst -c ${HANDSHAKES_COUNT}`));
  const { lateMs, cpuMs } = isScript
    ? await ask<{ lateMs: number; cpuMs: number }>(server)
    : { lateMs: NaN, cpuMs: NaN };
  return { lateMs, heldMs: cpuMs, burstMs: (JSON.parse(told) as { ms: number }).ms };
}

async function deaf(server: Server, weighing: Weighing) {
  await run(command(server, weighing, `-c 4 -s ${2 ** 20} -t 0.5`));
  const [kib, told] = await grown(server, weighing, `-m deaf -s ${OFFERED_MIB * 2 ** 20}`);
  const { taken } = JSON.parse(told.slice(told.indexOf("{"))) as { taken: number };
  return { deafMib: kib / 1024, takenMib: taken / 2 ** 20 };
}

/** Each in a process of its own: what one holds is no other's garbage. */
async function weigh(entrant: Entrant, weighing: Weighing): Promise<Weight> {
  const isScript = !/^(c|rust|nginx)$/.test(entrant.name);
  const start = () => entrant.start(weighing.serverCpu);
  const idleKib = await withServers([start], (server) => idle(server, weighing));
  const late = await withServers([start], (server) => burst(server, weighing, isScript));
  const taken = await withServers([start], (server) => deaf(server, weighing));
  return { idleKib, ...late, ...taken };
}

/** Weighs all, in rounds. */
export async function weighAll(
  entrants: readonly Entrant[],
  weighing: Weighing,
): Promise<{ part: Part; values(entrant: string, key: keyof Weight): number[] }> {
  const jobs = entrants.map((entrant) => ({
    title: `memory and timers, ${entrant.title}`,
    measure: () => weigh(entrant, weighing),
  }));
  const found = await inRounds(weighing.rounds, jobs);
  const values = (name: string, key: keyof Weight) =>
    (found[entrants.findIndex((one) => one.name === name)] ?? []).map((round) => round[key]);
  const rows = entrants.map(({ name, title }) => {
    const of = (key: keyof Weight, decimals = 1) => figure(median(values(name, key)), decimals);
    return [
      title,
      of("idleKib"),
      of("takenMib"),
      of("deafMib"),
      of("burstMs", 0),
      of("lateMs"),
      of("heldMs"),
    ];
  });
  const heads = [
    "KiB an idle connection",
    "MiB taken",
    "growth MiB",
    `ms of ${HANDSHAKES_COUNT} handshakes`,
    "timer late, ms",
    "held up, ms",
  ];
  const markdown = [
    "### What a connection holds, and what a burst of handshakes holds up\n",
    `${weighing.rounds} rounds, a new process for each figure. Idle: growth of resident memory by`,
    `${IDLE_COUNT} connections after one message each; before, short connections came and went for a`,
    `second. A peer that never reads sends an echo ${OFFERED_MIB} MiB: what the server took of it, the buffers`,
    "of both sockets included, and the growth of its resident memory.",
    `${HANDSHAKES_COUNT} handshakes at once: the time that they took, and the most that a timer of 1 ms was late`,
    "in the server's thread meanwhile. A machine that is busy makes it late, too: held up is the most",
    "CPU that the process used between two calls of that timer, its collector and compiler included.\n",
    `${table(["server", ...heads], rows)}\n`,
  ].join("\n");
  const raw = entrants.map(({ name }, i) => ({ name, rounds: found[i] }));
  return { part: { place: "last", markdown, raw }, values };
}

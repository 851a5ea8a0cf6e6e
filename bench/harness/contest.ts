/**
 * Servers beside each other: the figures of each in every case, and their ratios to others'.
 */
import { execFileSync } from "node:child_process";
import { freePort, type Server, startServer, startServerAt } from "./child.ts";
import { figure, figureAndRange, table } from "./markdown.ts";
import { select } from "./options.ts";
import { describeMachine, tell } from "./report.ts";
import { inRounds, withServers } from "./rounds.ts";
import { median, ratios, spread } from "./statistics.ts";

/** A server that takes part. */
export interface Entrant {
  /** Its name in options. */
  readonly name: string;
  /** Its name in tables. */
  readonly title: string;
  /** A program without which it cannot run; none when left out. */
  readonly needs?: string;
  /** Starts it, pinned to a CPU. */
  start(cpu: number): Promise<Server>;
}

/** A server that prints its port. */
export function chooser(name: string, title: string, argv: readonly string[]): Entrant {
  return { name, title, needs: argv[0]!, start: (cpu) => startServer({ argv, cpu }) };
}

/** A server that is told its port. */
export function follower(
  name: string,
  title: string,
  argvOf: (port: number) => readonly string[],
): Entrant {
  const start = async (cpu: number) => {
    const port = await freePort();
    return await startServerAt({ argv: argvOf(port), cpu }, port);
  };
  return { name, title, needs: argvOf(0)[0]!, start };
}

/** True when a program is installed. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v "$0"`, program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A column of figures. */
export interface Figure<K extends string> {
  readonly key: K;
  readonly head: string;
  readonly decimals?: number;
  /** True when only the figure stands in the table, without ratios. */
  readonly isAlone?: boolean;
}

/** Something that every entrant is measured in, in a table of its own. */
export interface Case<K extends string> {
  readonly title: string;
  /** Its columns, where they are not those of all cases. */
  readonly figures?: readonly Figure<K>[];
  measure(server: Server, entrant: Entrant): Promise<Readonly<Record<K, number>>>;
}

/** The outcome of the rounds. */
export interface Outcome<K extends string> {
  /** Those that took part. */
  readonly entrants: readonly Entrant[];
  /** The values of an entrant in a case, one a round. Empty for what took no part. */
  values(title: string, entrant: string, key: K): number[];
}

/** A part of the results that is not made of cases. */
export interface Part {
  /** Its place in the results. */
  readonly place: "first" | "last";
  readonly markdown: string;
  readonly raw: unknown;
}

/** A bench of this kind. */
export interface Contest<K extends string> {
  /** The name of its results. */
  readonly name: string;
  readonly title: string;
  /** The lines below the title, after the machine. */
  readonly about: readonly string[];
  readonly entrants: readonly Entrant[];
  /** Columns of ratios: the head of each, and the name of the entrant to divide by. */
  readonly bases: readonly (readonly [head: string, of: (entrant: Entrant) => string])[];
  readonly cases: readonly Case<K>[];
  readonly figures: readonly Figure<K>[];
  /** Makes a server ready, and looks at its answers. */
  prepare?(server: Server, entrant: Entrant): Promise<unknown>;
  /** Makes further parts, when the servers of the cases have ended. */
  parts?(outcome: Outcome<K>): Promise<readonly Part[]>;
}

/** The options that every contest needs. */
export interface ContestOptions {
  readonly only: string | undefined;
  readonly rounds: number;
  readonly serverCpu: number;
}

/** The columns of a case: each figure, and its ratios to others'. */
function heads<K extends string>(
  figures: readonly Figure<K>[],
  bases: Contest<K>["bases"],
): string[] {
  const ofBases = bases.map(([head]) => head);
  return figures.flatMap(({ head, isAlone }) => [head, ...(isAlone ? [] : ofBases)]);
}

/** The section of a case. */
function section<K extends string>(
  { title, figures: own }: Case<K>,
  { figures: common, bases }: Contest<K>,
  { entrants, values }: Outcome<K>,
): string {
  const figures = own ?? common;
  const rows = entrants.map((entrant) => {
    const of = (key: K) => values(title, entrant.name, key);
    const ratio = (key: K, base: string) => {
      const others = values(title, base, key);
      return others.length === 0 ? "–" : figureAndRange(spread(ratios(of(key), others)), 2);
    };
    const cells = figures.flatMap(({ key, decimals, isAlone }) => [
      figure(median(of(key)), decimals),
      ...(isAlone ? [] : bases.map(([, base]) => ratio(key, base(entrant)))),
    ]);
    return [entrant.title, ...cells];
  });
  return `### ${title}\n\n${table(["server", ...heads(figures, bases)], rows)}\n`;
}

/** Measures, prints and keeps the results. */
export async function contest<K extends string>(
  bench: Contest<K>,
  { only, rounds, serverCpu }: ContestOptions,
): Promise<void> {
  const { name, title, about, cases, prepare } = bench;
  const chosen = select(bench.entrants, only);
  const there = chosen.filter(({ needs }) => needs === undefined || isInstalled(needs));
  const absent = chosen.filter((one) => !there.includes(one)).map(({ title }) => title);
  const starters = there.map((one) => () => one.start(serverCpu));
  const found = await withServers(starters, async (...servers) => {
    for (const [i, server] of servers.entries()) await prepare?.(server, there[i]!);
    const jobs = cases.flatMap((one) =>
      there.map((entrant, i) => ({
        title: `${one.title}, ${entrant.title}`,
        measure: () => one.measure(servers[i]!, entrant),
      }))
    );
    return await inRounds(rounds, jobs);
  });
  const at = (j: number, i: number) => found[j * there.length + i]!;
  const outcome: Outcome<K> = {
    entrants: there,
    values(title, entrant, key) {
      const i = there.findIndex((one) => one.name === entrant);
      const j = cases.findIndex((one) => one.title === title);
      return i < 0 || j < 0 ? [] : at(j, i).map((round) => round[key]);
    },
  };
  const parts = await bench.parts?.(outcome) ?? [];
  const textOf = (place: Part["place"]) =>
    parts.filter((one) => one.place === place).map(({ markdown }) => markdown);
  const markdown = [
    `## ${title}\n`,
    `${describeMachine()}.`,
    ...about,
    `${rounds} interleaved rounds; servers on CPU ${serverCpu}. Medians, and of ratios the range of the`,
    "middle half.",
    ...(absent.length > 0 ? [`Not installed, and so not measured: ${absent.join(", ")}.`] : []),
    "",
    ...textOf("first"),
    ...cases.map((one) => section(one, bench, outcome)),
    ...textOf("last"),
  ].join("\n");
  const raw = there.map(({ name }, i) => ({
    name,
    cases: cases.map(({ title }, j) => ({ title, rounds: at(j, i) })),
  }));
  tell(
    name,
    markdown,
    parts.length === 0 ? raw : { cases: raw, parts: parts.map(({ raw }) => raw) },
  );
}

/**
 * Figures that are demanded of netpoll: what it reached, beside the floor and the aim.
 */
import type { Outcome } from "./contest.ts";
import { figure, table } from "./markdown.ts";
import { median, ratios } from "./statistics.ts";

const RUNTIMES = ["bun", "deno"] as const;

/** A runtime that netpoll runs in: the name of an entrant. */
export type OurRuntime = typeof RUNTIMES[number];

/** A figure that must not exceed its floor. */
export interface Demand {
  readonly title: string;
  /** One for each runtime; null where it is not asked for. */
  readonly floors: readonly (number | null)[];
  readonly aims: readonly (number | null)[];
  measured(runtime: OurRuntime): number;
}

/** The CPU of ours divided by that of others in the same round. */
export function ofCpu(
  { values }: Outcome<"cpuMicros">,
  title: string,
  others: Readonly<Record<string, string>>,
): (runtime: OurRuntime) => number {
  return (runtime) =>
    median(
      ratios(
        values(title, runtime, "cpuMicros"),
        values(title, others[runtime] ?? "", "cpuMicros"),
      ),
    );
}

/** The section of demands, as far as their figures were measured. */
export function describeDemands(about: string, demands: readonly Demand[]): string {
  const cells = ({ floors, aims, measured }: Demand) =>
    RUNTIMES.flatMap((runtime, i) => {
      const floor = floors[i] ?? NaN;
      const value = measured(runtime);
      const isMissed = value > floor;
      return [
        `${figure(value)}${isMissed ? " ✗" : ""}`,
        `${figure(floor)} / ${figure(aims[i] ?? NaN)}`,
      ];
    });
  const heads = ["figure", ...["Bun", "Deno"].flatMap((name) => [name, "floor / aim"])];
  return [
    "### Floors and aims\n",
    `Medians; ✗ is above the floor. ${about}\n`,
    `${table(heads, demands.map((one) => [one.title, ...cells(one)]))}\n`,
  ].join("\n");
}

/**
 * The demands on netpoll over TLS, and the figures that it reached.
 */
import type { Outcome } from "./contest.ts";
import { type Demand, describeDemands, ofCpu } from "./floors.ts";
import { median } from "./statistics.ts";
import type { Weight } from "./tls_weights.ts";

/** The demands, as far as their figures were measured. */
export function describeFloors(
  [small, middle, large, full, resumed]: readonly string[],
  outcome: Outcome<"cpuMicros">,
  weights: (entrant: string, key: keyof Weight) => number[],
): string {
  const cpu = (
    title: string,
    what: string,
    others: Readonly<Record<string, string>>,
    floors: Demand["floors"],
    aims: Demand["aims"],
  ): Demand => ({ title: what, floors, aims, measured: ofCpu(outcome, title, others) });
  const c = { bun: "c", deno: "c" };
  const own = { bun: "bun-listen", deno: "deno-listen" };
  const node = { bun: "bun-tls", deno: "deno-tls" };
  const both = (value: number) => [value, value];
  const echoes = [["64 B", small!], ["16 KiB", middle!], ["1 MiB", large!]] as const;
  const weight = (
    title: string,
    key: keyof Weight,
    floors: number[],
    aims: Demand["aims"],
  ): Demand => ({ title, floors, aims, measured: (runtime) => median(weights(runtime, key)) });
  const demands: Demand[] = [
    cpu(small!, "64 B ÷ C", c, both(1.25), both(1.10)),
    cpu(middle!, "16 KiB ÷ C", c, both(1.25), both(1.08)),
    cpu(large!, "1 MiB ÷ C", c, both(1.25), both(1.05)),
    cpu(full!, "full handshakes ÷ C", c, both(1.45), both(1.15)),
    cpu(resumed!, "resumed handshakes ÷ C", c, both(1.45), both(1.15)),
    ...echoes.map(([what, title]) =>
      cpu(title, `${what} ÷ its runtime's own`, own, [null, 1.05], [null, 0.95])
    ),
    ...echoes.map(([what, title]) =>
      cpu(title, `${what} ÷ node:tls`, node, [1.10, 0.60], [0.95, 0.50])
    ),
    cpu(full!, "full handshakes ÷ node:tls", node, [1.25, 1.20], [1, 1]),
    weight("KiB an idle connection", "idleKib", [16, 22], [13, 16]),
    weight("growth by a peer that never reads, MiB", "deafMib", both(16), [null, null]),
    weight("timer held up by 500 handshakes, ms of CPU", "heldMs", both(5), [null, null]),
  ];
  const about = "The own ones of the runtimes are Bun.listen and Deno.listenTls.";
  return describeDemands(about, demands);
}

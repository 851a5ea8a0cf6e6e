/**
 * The demands on netpoll over UDP, and the figures that it reached.
 */
import type { Outcome } from "./contest.ts";
import { type Demand, describeDemands, ofCpu } from "./floors.ts";

const both = (name: string) => ({ bun: name, deno: name });
/** Ours without trains, in the same runtime. */
const SINGLE = { bun: "bun-single", deno: "deno-single" };

/** The demands, as far as their figures were measured. */
export function describeUdpFloors(
  outcome: Outcome<"cpuMicros">,
  [senders, small, large, trains, pingPong, quiet]: readonly string[],
): string {
  const demand = (
    what: string,
    title: string | undefined,
    others: Readonly<Record<string, string>>,
    floor: number,
    aim: number,
  ): Demand => {
    const ofOne = (value: number) => ["bun", "deno"].map((name) => name in others ? value : null);
    return {
      title: what,
      floors: ofOne(floor),
      aims: ofOne(aim),
      measured: ofCpu(outcome, title!, others),
    };
  };
  return describeDemands('Without trains is `segmentation: "off"`.', [
    demand("64 B, 50 senders ÷ C", senders, both("c"), 1.15, 1.06),
    demand(
      "1200 B × 64, trains both ways ÷ C with GRO and GSO",
      trains,
      both("c-trains"),
      1.45,
      1.2,
    ),
    demand("… ÷ ours without trains out", trains, SINGLE, 0.5, 0.4),
    demand("64 B × 64 ÷ C without trains", small, both("c"), 0.92, 0.78),
    demand("1200 B × 64 ÷ C without trains", large, both("c"), 0.92, 0.78),
    demand("64 B ping-pong ÷ C", pingPong, both("c"), 1.22, 1.08),
    demand("64 B, 50 senders ÷ Bun.udpSocket send", senders, { bun: "bun-send" }, 0.75, 0.66),
    demand("64 B, 50 senders ÷ Bun.udpSocket sendMany", senders, { bun: "bun-many" }, 0.88, 0.78),
    demand("1200 B trains ÷ Bun.udpSocket sendMany", trains, { bun: "bun-many" }, 0.3, 0.22),
    demand("64 B, 50 senders ÷ Deno.listenDatagram", senders, { deno: "deno-listen" }, 0.35, 0.28),
    demand("1200 B trains ÷ Deno.listenDatagram", trains, { deno: "deno-listen" }, 0.22, 0.17),
    demand("64 B, 50 senders ÷ node:dgram in Node", senders, both("node"), 0.35, 0.27),
    demand("receive alone ÷ Bun.udpSocket", quiet, { bun: "bun-many" }, 1.12, 1.02),
  ]);
}

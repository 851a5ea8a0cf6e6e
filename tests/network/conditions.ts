/**
 * How the network is, one condition at a time.
 */
import type { WayCounts } from "./bed.ts";

const MIB = 1024 * 1024;

/** A condition that lasts for as long as a trial. */
export interface Condition {
  /** What it is, in a few words. */
  readonly title: string;
  /** What becomes of packets from the client to the server, in the words of `relay.c`. */
  readonly there?: string;
  /** … and from the server to the client. */
  readonly back?: string;
  /** The largest packet of either machine, in bytes; 1500 unless given. */
  readonly mtu?: number;
  /** The most that goes each way: more takes minutes. */
  readonly bytesMax: number;
  /** The link is cut once in the middle, for so many seconds. */
  readonly outageSeconds?: number;
  /** … by taking the interface of both machines down, which have no route to each other then. */
  readonly isDown?: boolean;
  /** It is about TCP, and nothing to datagrams. */
  readonly isOfTcp?: boolean;
  /** What the relay must have counted, or the condition was none. */
  readonly proof?: Exclude<keyof WayCounts, "passed" | "bytes">;
}

/** The same for both directions. */
function both(words: string): { there: string; back: string } {
  return { there: words, back: words };
}

/** By name. */
export const CONDITIONS: Readonly<Record<string, Condition>> = {
  "clear": { title: "nothing is wrong", bytesMax: 100 * MIB },
  "loss-1": { title: "1 % loss", ...both("loss=1"), bytesMax: 100 * MIB, proof: "lost" },
  "loss-5": { title: "5 % loss", ...both("loss=5"), bytesMax: 32 * MIB, proof: "lost" },
  "loss-10": { title: "10 % loss", ...both("loss=10"), bytesMax: 8 * MIB, proof: "lost" },
  "loss-30": { title: "30 % loss", ...both("loss=30"), bytesMax: MIB / 16, proof: "lost" },
  "ack-loss": {
    title: "50 % of the server's acknowledgements lost",
    back: "ack-loss=50",
    isOfTcp: true,
    bytesMax: 100 * MIB,
    proof: "lost",
  },
  "reorder": {
    title: "10 % of the packets 10 ms late",
    ...both("reorder=10"),
    bytesMax: 100 * MIB,
    proof: "reordered",
  },
  "duplicate": {
    title: "10 % of the packets twice",
    ...both("duplicate=10"),
    bytesMax: 100 * MIB,
    proof: "duplicated",
  },
  "delay": { title: "300 ms each way", ...both("delay=300"), bytesMax: 32 * MIB },
  "slow": { title: "1 Mbit/s", ...both("rate=1000000"), bytesMax: MIB },
  "small": { title: "packets of 576 bytes", mtu: 576, bytesMax: 100 * MIB },
  "outage": {
    title: "the link is cut for 10 s and comes back",
    bytesMax: 32 * MIB,
    outageSeconds: 10,
    proof: "lost",
  },
  "down": {
    title: "the interfaces go down for 10 s and come up",
    bytesMax: 32 * MIB,
    outageSeconds: 10,
    isDown: true,
  },
  "bad": {
    title: "100 ms each way, 3 % loss, 5 % late, 5 % twice",
    ...both("delay=100 loss=3 reorder=5 duplicate=5"),
    bytesMax: 2 * MIB,
    proof: "lost",
  },
};

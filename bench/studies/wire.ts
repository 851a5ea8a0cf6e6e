/**
 * Two network namespaces and a cable between them, on which MSG_ZEROCOPY does not copy.
 *
 * A veth pair copies what was sent without a copy when it arrives. With generic XDP on the receiving
 * end the kernel copies the packet as a network card would, and RPS lets another CPU do that than
 * the sender's: what the sender's process spends is what it would spend with a card.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { projectPath, startHeld } from "../harness/child.ts";

/** A cable between two ends. */
export interface Wire {
  /** The address of the receiving end. */
  readonly host: string;
  /** A command at the sending end. */
  sender(argv: readonly string[]): string[];
  /** A command at the receiving end. */
  receiver(argv: readonly string[]): string[];
  /** Takes it down. */
  close(): void;
}

/** Documentation addresses (RFC 5737): they are nobody's. */
const ADDRESSES = ["192.0.2.1", "192.0.2.2"] as const;

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
}

/** Lays a cable; packets arrive on that CPU. Needs root. */
export async function layWire(receiverCpu: number): Promise<Wire> {
  const [from, to] = [`netpoll-from-${process.pid}`, `netpoll-to-${process.pid}`];
  const inside = (
    space: string,
    argv: readonly string[],
  ) => ["ip", "netns", "exec", space, ...argv];
  const run = (space: string, command: string) => {
    const [program, ...args] = inside(space, ["sh", "-c", command]);
    execFileSync(program!, args, { stdio: ["ignore", "ignore", "inherit"] });
  };
  const close = () => {
    for (const space of [from, to]) {
      try {
        execFileSync("ip", ["netns", "delete", space], { stdio: "ignore" });
      } catch {
        // It was not made, or is gone already. The pair of devices goes with either.
      }
    }
  };
  process.once("exit", close);
  for (const space of [from, to]) ip("netns", "add", space);
  ip("link", "add", "veth0", "netns", from, "type", "veth", "peer", "name", "veth1", "netns", to);
  for (const [space, device, address] of [[from, "veth0", 0], [to, "veth1", 1]] as const) {
    run(space, `ip address add ${ADDRESSES[address]}/24 dev ${device} && ip link set ${device} up`);
  }
  const mask = (1 << receiverCpu).toString(16);
  run(to, `echo ${mask} > /sys/class/net/veth1/queues/rx-0/rps_cpus`);
  await startHeld({ argv: inside(to, [projectPath("bench/build/xdp_pass"), "veth1"]) });
  return {
    host: ADDRESSES[1],
    sender: (argv) => inside(from, argv),
    receiver: (argv) => inside(to, argv),
    close,
  };
}

/** No cable: loopback, where the kernel copies. */
export const LOOPBACK: Wire = {
  host: "127.0.0.1",
  sender: (argv) => [...argv],
  receiver: (argv) => [...argv],
  close() {},
};

/**
 * A bad network to test in: two machines, as far as their sockets can tell, and a link between them
 * that does to packets what it is told.
 *
 * ```text
 *    client 192.0.2.1 ── net0 ~ client ── relay ── server ~ net0 ── 192.0.2.2 server
 *    └── namespace ───────┘  └────── namespace ──────┘  └──────── namespace ──┘
 * ```
 *
 * Each is a network namespace (ip-netns(8)), made here and removed here. `relay.c` moves the packets.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { Program } from "../../scripts/program.ts";
import { root } from "../support/library.ts";

/** One of the two machines. */
export type Side = "client" | "server";

/** The address of the server: one of those that are for documents (RFC 5737). */
export const SERVER_HOST = "192.0.2.2";

const RELAY = `${root}tests/network/build/relay`;
/** What the names of all our namespaces begin with; the process that made them follows. */
const PREFIX = "netpoll-bed-";
const PLACES = ["client", "relay", "server"] as const;
const MTU = 1500;

/** Packets of one direction, by what became of them. */
export interface WayCounts {
  readonly passed: number;
  /** The bytes of those. */
  readonly bytes: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Lost because the queue of a slow link was full. */
  readonly overflowed: number;
}

/** What the relay has done so far. */
export interface Counts {
  /** Whether the kernel copies what is sent without a copy: it has no XDP here. */
  readonly isCopying: boolean;
  /** From the client to the server. */
  readonly there: WayCounts;
  /** From the server to the client. */
  readonly back: WayCounts;
}

/** Runs ip(8), whose commands come line by line. What went wrong, or "". */
function ip(place: string | null, ...lines: string[]): string {
  const args = place === null ? ["-batch", "-"] : ["-netns", place, "-batch", "-"];
  const { status, stderr, error } = spawnSync("ip", args, {
    input: lines.join("\n"),
    encoding: "utf8",
  });
  return status === 0 ? "" : `ip ${place ?? ""}: ${error?.message ?? stderr.trim()}`;
}

/**
 * Lets a machine repeat what was lost after 5 s at most. The kernel doubles the pause up to two minutes
 * otherwise: where a third of the packets is lost, a trial of seconds could take ten minutes.
 */
const HURRY = "test ! -e $0 || echo 5000 > $0";
const RTO_MAX = "/proc/sys/net/ipv4/tcp_rto_max_ms";

function hurry(name: string): string {
  const args = ["netns", "exec", name, "sh", "-c", HURRY, RTO_MAX];
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  return status === 0 ? "" : `ip netns exec ${name}: ${error?.message ?? stderr.trim()}`;
}

/**
 * Lets the interface of a machine put neighbouring datagrams together, for which it waits a
 * millisecond: the relay sends packets one by one. It need not be able to.
 */
const MERGE = "ethtool -K net0 gro on && cd /sys/class/net/net0 && " +
  "echo 1 > napi_defer_hard_irqs && echo 1000000 > gro_flush_timeout";

function merge(names: Readonly<Record<string, string>>, side: Side): void {
  const run = (place: string, ...argv: string[]) =>
    spawnSync("ip", ["netns", "exec", names[place]!, ...argv], { stdio: "ignore" });
  // What comes from a device that makes segments of TCP itself is not looked at (drivers/net/veth.c).
  run("relay", "ethtool", "-K", side, "tso", "off");
  run(side, "sh", "-c", MERGE);
}

function need(...failures: string[]): void {
  const [first] = failures.filter((failure) => failure !== "");
  if (first !== undefined) throw new Error(`Cannot make a bed: ${first}`);
}

/** Connects two of the three places, and gives the machine its address. */
function connect(names: Record<string, string>, side: Side, mtu: number): string[] {
  const [own, other] = side === "client" ? [1, 2] : [2, 1];
  return [
    ip(
      names["relay"]!,
      `link add ${side} mtu ${mtu} type veth peer name net0 netns ${names[side]}`,
      `link set ${side} up`,
    ),
    // No segments larger than a packet: this device does not cut them for the kernel.
    ip(
      names[side]!,
      "link set lo up",
      `link set net0 address 02:00:00:00:00:0${own} mtu ${mtu} gso_max_segs 1`,
      `addr add 192.0.2.${own}/24 dev net0`,
      "link set net0 up",
      `neigh replace 192.0.2.${other} lladdr 02:00:00:00:00:0${other} dev net0 nud permanent`,
    ),
  ];
}

/**
 * Removes the namespaces of this process when it has ended, however it ended. It is nobody's child, and
 * in a session of its own: what ends the others does not end it.
 */
const GUARD = `setsid sh -c 'tail --pid="$1" -f /dev/null
for name in $(ip netns list | grep -o "^$0$1-[^ ]*")
do ip netns pids "$name" | xargs -r kill -9; ip netns del "$name"
done' "$0" "$1" &`;

let isGuarded = false;

function guard(): void {
  if (isGuarded) return;
  isGuarded = true;
  spawnSync("sh", ["-c", GUARD, PREFIX, `${process.pid}`], { stdio: "ignore" });
}

/** A network that is there until it is closed. */
export class Bed {
  static #made = 0;
  readonly #names: Record<string, string>;
  readonly #relay: Program;

  private constructor(names: Record<string, string>, relay: Program) {
    this.#names = names;
    this.#relay = relay;
  }

  /** Makes one. Its relay draws what is lost, and so on, from the seed. */
  static async make(
    { seed = 1, mtu = MTU, isMerging = false }: {
      seed?: number;
      mtu?: number | undefined;
      isMerging?: boolean | undefined;
    } = {},
  ): Promise<Bed> {
    guard();
    const base = `${PREFIX}${process.pid}-${Bed.#made++}-`;
    const names = Object.fromEntries(PLACES.map((place) => [place, base + place]));
    try {
      need(ip(null, ...Object.values(names).map((name) => `netns add ${name}`)));
      need(...connect(names, "client", mtu), ...connect(names, "server", mtu));
      need(hurry(names["client"]!), hurry(names["server"]!));
      if (isMerging) { for (const side of ["client", "server"] as const) merge(names, side); }
    } catch (error) {
      remove(Object.values(names));
      throw error;
    }
    const argv = ["ip", "netns", "exec", names["relay"]!, RELAY, "client", "server", `${seed}`];
    const bed = new Bed(names, new Program({ argv, hasInput: true }));
    await bed.#relay.line();
    return bed;
  }

  /** The command that runs another one on one of the machines. */
  command(side: Side, argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.#names[side]!, ...argv];
  }

  /** Says what becomes of packets from now on, in the words of `relay.c`. What there was so far. */
  async set(there: string, back: string): Promise<Counts> {
    this.#relay.write(`there ${there}\nback ${back}\n`);
    await this.#relay.line();
    return JSON.parse(await this.#relay.line());
  }

  /** Takes the interfaces of both machines down, or up again: there is no route meanwhile. */
  raise(isUp: boolean): void {
    for (const side of ["client", "server"]) {
      need(ip(this.#names[side]!, `link set net0 ${isUp ? "up" : "down"}`));
    }
  }

  /** What there was so far. */
  async counts(): Promise<Counts> {
    this.#relay.write("\n");
    return JSON.parse(await this.#relay.line());
  }

  /** The sockets of both machines, as ss(8) shows them. */
  sockets(): string {
    return (["client", "server"] as const).map((side) => {
      const [file, ...args] = this.command(side, ["ss", "-tanoim"]);
      return `${side}\n${spawnSync(file!, args, { encoding: "utf8" }).stdout}`;
    }).join("\n");
  }

  /** Removes it, with all that runs in it. */
  async close(): Promise<void> {
    remove(Object.values(this.#names));
    await this.#relay.stop();
  }
}

/** Ends what runs in namespaces, and removes them. */
function remove(names: readonly string[]): void {
  for (const name of names) {
    const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
    for (const pid of (stdout ?? "").split("\n").filter(Boolean)) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    spawnSync("ip", ["netns", "del", name]);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Removes the beds of runs that were killed. Their names. */
export function removeLeft(): string[] {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  const left = (stdout ?? "").split("\n").map((line) => line.split(" ", 1)[0]!).filter((name) => {
    const [, pid] = new RegExp(`^${PREFIX}(\\d+)-`).exec(name) ?? [];
    return pid !== undefined && !isRunning(Number(pid));
  });
  remove(left);
  return left;
}

/** Why there can be no bed here; "" where there can. */
export function findObstacle(): string {
  const made = spawnSync("make", ["-s", "-C", `${root}tests/network`], { encoding: "utf8" });
  if (made.status !== 0) return `relay.c cannot be built: ${made.stderr ?? made.error}`;
  if (process.getuid?.() !== 0) return "only root makes network namespaces";
  const name = `${PREFIX}${process.pid}-try`;
  const failure = ip(null, `netns add ${name}`) || ip(name, "link add type veth");
  remove([name]);
  return failure;
}

/**
 * The cost of an echo over UDP: `make -C bench udp`.
 */
import { runFile, type Runtime, runtimePath } from "./harness/candidates.ts";
import { projectPath, run, type Server } from "./harness/child.ts";
import { chooser, contest, type Entrant, type Outcome } from "./harness/contest.ts";
import { parse } from "./harness/options.ts";
import { describeUdpFloors } from "./harness/udp_floors.ts";

const options = parse({
  only: { help: "servers by name, with commas between them" },
  rounds: 11,
  seconds: 0.2,
  warmup: 0.05,
  serverCpu: true,
  loadCpu: true,
});
const { seconds, warmup, loadCpu } = options;

const native = (name: string, title: string, mode: string): Entrant =>
  chooser(name, title, [projectPath("bench/build/udp_echo"), mode]);

/** Ours by its mode, and what its name has behind that of the runtime. */
const MODES = { auto: "", off: "-single", wait: "-wait" } as const;

const ours = (runtime: Runtime, title: string, mode: keyof typeof MODES): Entrant =>
  chooser(runtime + MODES[mode], title, runFile(runtime, "bench/servers/udp.ts", [mode]));

const peer = (name: string, title: string, runtime: Runtime, file: string, args: string[] = []) =>
  chooser(name, title, runFile(runtime, `bench/peers/${file}`, args));

const shape = (title: string, senders: number, bytes: number, burst: number, flags = "") => ({
  title,
  ...{ senders, bytes, burst, flags },
});

/** In the order in which the floors take them. */
const CASES = [
  shape("64 B, 50 senders", 50, 64, 1),
  shape("64 B, 64 at once from one sender", 1, 64, 64),
  shape("1200 B, 64 at once from one sender", 1, 1200, 64),
  shape("1200 B, 64 at once, sent as trains", 1, 1200, 64, "-g"),
  shape("64 B, ping-pong", 1, 64, 1),
  shape("64 B, 64 at once, the last one answered", 1, 64, 64, "-q"),
  shape("64 B, 50 senders, 8 at once from each", 50, 64, 8),
] as const;

/** The output of a run of bench/native/udp_load.c. */
interface Loaded {
  readonly datagrams_per_s: number;
  readonly server_us_per_datagram: number;
  readonly lost: number;
  readonly late: number;
}

type Key = "perSecond" | "cpuMicros" | "lost";

async function measure(
  { pid, port }: Server,
  { senders, bytes, burst, flags }: typeof CASES[number],
  seconds: number,
): Promise<Record<Key, number>> {
  const shape = { p: port, S: pid, c: senders, s: bytes, b: burst, t: seconds, w: warmup };
  const argv = [
    projectPath("bench/build/udp_load"),
    ...Object.entries(shape).flatMap(([letter, value]) => [`-${letter}`, `${value}`]),
    ...flags === "" ? [] : [flags],
  ];
  const told: Loaded = JSON.parse(await run({ argv, cpu: loadCpu }));
  const { datagrams_per_s, server_us_per_datagram, lost, late } = told;
  return {
    perSecond: datagrams_per_s,
    cpuMicros: server_us_per_datagram,
    lost: lost + late,
  };
}

const denoDatagram = [
  runtimePath("deno"),
  ...["run", "-A", "--no-check", "--unstable-net", projectPath("bench/peers/deno_udp.ts")],
];

/** The server that each of ours is compared with: its runtime's own. */
const OWN: Readonly<Record<string, string>> = {
  ...{ bun: "bun-many", "bun-single": "bun-many", "bun-wait": "bun-many" },
  ...{ deno: "deno-listen", "deno-single": "deno-listen", "deno-wait": "deno-listen" },
};

await contest<Key>({
  name: "udp",
  title: "What an echo over UDP costs",
  about: [
    "An echo under `native/udp_load.c`, which compares every byte and asks again for what is not",
    `answered within 200 ms ("lost"). ${seconds} s each, load on CPU ${loadCpu}. C is`,
    "`native/udp_echo.c`: recvmmsg and sendmmsg, 64 at a time. A train is many datagrams in one call",
    "of the kernel (UDP_GRO, UDP_SEGMENT): netpoll makes them of consecutive answers to one peer.",
    'Its servers have a handler; those of "wait and flush" a loop of wait(), flush() and release().',
  ],
  entrants: [
    native("c", "C, recvmmsg and sendmmsg", "batch"),
    native("c-trains", "C, with GRO and GSO", "trains"),
    native("c-one", "C, recvfrom and sendto", "one"),
    ours("bun", "netpoll in Bun", "auto"),
    ours("deno", "netpoll in Deno", "auto"),
    ours("bun", "netpoll in Bun, no trains out", "off"),
    ours("deno", "netpoll in Deno, no trains out", "off"),
    ours("bun", "netpoll in Bun, wait and flush", "wait"),
    ours("deno", "netpoll in Deno, wait and flush", "wait"),
    peer("bun-send", "Bun.udpSocket, send", "bun", "bun_udp.ts", ["send"]),
    peer("bun-many", "Bun.udpSocket, sendMany", "bun", "bun_udp.ts", ["many"]),
    chooser("deno-listen", "Deno.listenDatagram", denoDatagram),
    peer("node", "node:dgram in Node", "node", "node_udp.mjs"),
    peer("bun-node", "node:dgram in Bun", "bun", "node_udp.mjs"),
    peer("deno-node", "node:dgram in Deno", "deno", "node_udp.mjs"),
    chooser("go", "x/net ReadBatch in Go", [projectPath("bench/build/go-udp")]),
    chooser("rust", "quinn-udp in Rust", [projectPath("bench/build/rust-udp")]),
  ],
  bases: [
    ["÷ C", () => "c"],
    ["÷ its runtime's own", ({ name }) => OWN[name] ?? ""],
  ],
  prepare: (server) => measure(server, CASES[0], 0.5),
  cases: CASES.map((one) => ({
    title: one.title,
    measure: (server: Server) => measure(server, one, seconds),
  })),
  figures: [
    { key: "perSecond", head: "datagrams/s", decimals: 0, isAlone: true },
    { key: "cpuMicros", head: "CPU µs/datagram" },
    { key: "lost", head: "lost", decimals: 0, isAlone: true },
  ],
  parts: (outcome: Outcome<Key>) =>
    Promise.resolve([{
      place: "first" as const,
      markdown: describeUdpFloors(outcome, CASES.map(({ title }) => title)),
      raw: null,
    }]),
}, options);

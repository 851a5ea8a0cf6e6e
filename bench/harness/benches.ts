/**
 * The benches: the table that run.ts and README.md show.
 */
import { table } from "./markdown.ts";

/** A bench. */
export interface Bench {
  readonly name: string;
  /** Its module, from the folder bench. */
  readonly file: string;
  /** Options before those that are given. */
  readonly args?: readonly string[];
  /** The target of make, at the top or with -C bench. */
  readonly make: string;
  readonly tells: string;
  /** The tools that it needs besides the two runtimes and a C compiler. */
  readonly needs: string;
  /** The time that it takes with its default options on a machine of 2 cores. */
  readonly takes: string;
}

function bench(name: string, takes: string, tells: string, needs = "", place = ""): Bench {
  const isAtTop =
    /^(figures|readme-figures|question|beside|thread|deferred|calls|idle-memory|cores)$/;
  const target = name === "figures" ? "make bench" : `make ${name}`;
  const make = isAtTop.test(name) ? target : `make -C bench ${name}`;
  return { name, file: `./${place}${name.replaceAll("-", "_")}.ts`, make, tells, needs, takes };
}

const study = (name: string, takes: string, tells: string, needs?: string) =>
  bench(name, takes, tells, needs, "studies/");

/** All of them; studies, which answered a question once, last. */
export const BENCHES: readonly Bench[] = [
  bench("figures", "18 min", "README's table, `results/figures.md`, plots of CPU and latency"),
  bench("readme-figures", "1 s", "README's table again, from the last run"),
  bench("micro", "3 min", "nanoseconds of single operations, by noun, in both runtimes"),
  bench("compare", "1 s", "figures that became worse or better than `results/record.json`"),
  bench(
    "thread",
    "4 min",
    "netpoll and the runtime's own work in one thread, each at every load",
    "wrk",
  ),
  {
    ...bench(
      "beside",
      "1 min",
      "its timers and HTTP server beside an idle and a saturated echo",
      "wrk",
    ),
    file: "./thread.ts",
    args: [
      ...["--places", "main", "--styles", "sync,async", "--works", "timer,timer10,http"],
      ...["--loads", "idle,saturated", "--keep", "beside"],
    ],
  },
  bench("deferred", "4 min", "handlers that answer from setImmediate, streams, …, beside node:net"),
  bench("client", "8 min", "CPU a request of clients: ours, Bun.connect, Deno.connect, node:net"),
  bench("calls", "5 s", "JavaScript calls that a 64-byte echo takes, counted by V8"),
  bench("idle-memory", "1 min", "memory of an idle connection, 10 000 open"),
  bench(
    "cores",
    "7 min",
    "CPU, spread and memory of one, two and four pollers, the main thread",
    "wrk",
  ),
  bench("proxy", "4 min", "CPU a MiB of a TCP proxy: ours, Bun.listen, node:net", "haproxy"),
  bench("send-file", "2 min", "CPU a MiB of a file of 1 GiB over HTTP/1.1", "nginx"),
  bench(
    "receive-file",
    "1 min",
    "CPU a MiB of a file of 1 GiB that comes, by splice and by writing it",
  ),
  bench("http", "1 min", "HTTP/1.1: ours, Bun.serve, Deno.serve, node:http", "wrk"),
  bench("redis", "6 min", "GET and SET: ours, Bun.listen and node:net with npm's parser", "redis"),
  bench(
    "tls",
    "9 min",
    "echo and handshakes over TLS: ours, C, Bun, Deno, node:tls, rustls",
    "openssl, libssl-dev",
  ),
  bench(
    "udp",
    "6 min",
    "echo over UDP: ours, C, Bun, Deno, node:dgram, Go, quinn-udp",
    "go, cargo",
  ),
  study("question", "1 min", "what each server holds for 1 000 connections, half of them idle"),
  study("metrics-cost", "4 min", "CPU a message while nobody asks for metrics, and while asked"),
  study("zero-copy", "8 min", "CPU a byte of a sender with and without zero copy", "root"),
  study(
    "duplex",
    "3 min",
    "what Connection.fromDuplex adds to node:net and node:tls",
    "libssl-dev",
  ),
  study("udp-zero-copy", "1 min", "CPU a datagram of a sender with and without MSG_ZEROCOPY"),
];

/** The table to read. */
export function describeBenches(): string {
  const rows = BENCHES.map(({ make, tells, needs, takes }) => [
    `\`${make}\``,
    takes,
    needs === "" ? tells : `${tells}; needs ${needs}`,
  ]);
  return table(["command", "takes", "tells"], rows);
}

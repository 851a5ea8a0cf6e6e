/**
 * The cost of an echo over TLS, and of handshakes: `make -C bench tls`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { projectPath, run, type Server, startServer } from "./harness/child.ts";
import { chooser, contest, type Entrant, follower, type Outcome } from "./harness/contest.ts";
import { makeIdentity } from "./harness/identity.ts";
import { parse, select } from "./harness/options.ts";
import { describeFloors } from "./harness/tls_floors.ts";
import { weighAll } from "./harness/tls_weights.ts";

const MODULES = ["/usr/lib/nginx/modules/ngx_stream_module.so"];
/** The room of Deno.listenTls for a read: more than a record it never gets. */
const ROOM_BYTES = "16384";

const options = parse({
  only: { help: "servers by name, with commas between them" },
  cases: { help: "which: 64,16k,1m,full,resumed" },
  rounds: 9,
  weighings: { help: "how often to measure memory and timers", value: 3 },
  seconds: 0.5,
  warmup: 0.1,
  serverCpu: true,
  loadCpu: true,
});
const { seconds, warmup, serverCpu, loadCpu } = options;

const { directory, key, certificate } = makeIdentity("tls");

const openssl = execFileSync("openssl", ["version"], { encoding: "utf8" }).split(" (")[0]!.trim();

const ours = (runtime: Runtime, title: string): Entrant =>
  chooser(runtime, title, runFile(runtime, "bench/servers/tls.ts", [key, certificate]));

const peer = (name: string, title: string, runtime: Runtime, file: string): Entrant =>
  chooser(
    name,
    title,
    runFile(runtime, `bench/peers/${file}`, ["0", ROOM_BYTES, "echo", key, certificate]),
  );

/** A program that is built; it is left out where it could not be. */
function built(name: string, title: string, program: string): Entrant {
  return chooser(name, title, [projectPath(`bench/build/${program}`), key, certificate]);
}

/** nginx has no echo over TLS: it ends TLS in front of C's, whose CPU does not count. */
const nginx = (behind: number) =>
  follower("nginx", "nginx, stream, before C's plain echo", (port) => {
    const prefix = join(directory, "nginx");
    mkdirSync(prefix, { recursive: true });
    writeFileSync(
      join(prefix, "nginx.conf"),
      `${
        MODULES.filter((path) => existsSync(path)).map((path) => `load_module ${path};`).join("\n")
      }
       daemon off; master_process off; pid ${prefix}/pid; error_log stderr crit;
       events { worker_connections 4096; }
       stream {
         ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;
         server { listen 127.0.0.1:${port} ssl backlog=4096; proxy_pass 127.0.0.1:${behind}; }
       }\n`,
    );
    return ["nginx", "-p", prefix, "-c", join(prefix, "nginx.conf")];
  });

/** Something to measure. */
interface Shape {
  readonly name: string;
  readonly title: string;
  readonly mode: "echo" | "full" | "resumed";
  readonly connections: number;
  readonly bytes: number;
}

const SMALL = { name: "64", title: "64 B, 50 connections", connections: 50, bytes: 64 };
const MIDDLE = { name: "16k", title: "16 KiB, 10 connections", connections: 10, bytes: 2 ** 14 };
const LARGE = { name: "1m", title: "1 MiB, 4 connections", connections: 4, bytes: 2 ** 20 };
const shakes = (mode: "full" | "resumed"): Shape => {
  const title = `Connect, ${mode} handshake, echo of 64 B, close`;
  return { name: mode, title, mode, connections: 10, bytes: 64 };
};
const SHAPES: readonly Shape[] = [
  ...[SMALL, MIDDLE, LARGE].map((one) => ({ ...one, mode: "echo" as const })),
  shakes("full"),
  shakes("resumed"),
];
const shapes = select(SHAPES, options.cases);

/** The output of a run of bench/native/tls_load.c. */
interface Loaded {
  readonly messages_per_s: number;
  readonly server_us_per_message: number;
  readonly resumed: number;
}

async function measure(
  { pid, port }: Server,
  { mode, connections, bytes }: Shape,
  seconds: number,
): Promise<Record<"perSecond" | "cpuMicros" | "resumedPercent", number>> {
  const shape = { p: port, S: pid, a: certificate, m: mode, c: connections, s: bytes };
  const all = Object.entries({ ...shape, t: seconds, w: warmup });
  const argv = [
    projectPath("bench/build/tls_load"),
    ...all.flatMap(([letter, value]) => [`-${letter}`, `${value}`]),
  ];
  const told: Loaded = JSON.parse(await run({ argv, cpu: loadCpu }));
  const { messages_per_s, server_us_per_message, resumed } = told;
  return {
    perSecond: messages_per_s,
    cpuMicros: server_us_per_message,
    resumedPercent: 100 * resumed,
  };
}

const FIGURES = [
  { key: "perSecond", head: "messages/s", decimals: 0, isAlone: true },
  { key: "cpuMicros", head: "CPU µs/message" },
] as const;
const RESUMED = { key: "resumedPercent", head: "resumed %", decimals: 0, isAlone: true } as const;

/** The server that each of ours is compared with: its runtime's own, and node:tls there. */
const OWN: Readonly<Record<string, string>> = { bun: "bun-listen", deno: "deno-listen" };
const NODE: Readonly<Record<string, string>> = { bun: "bun-tls", deno: "deno-tls" };

const plain = await startServer({ argv: [projectPath("bench/build/echo")], cpu: loadCpu });

async function parts(outcome: Outcome<"perSecond" | "cpuMicros" | "resumedPercent">) {
  const weights = await weighAll(outcome.entrants, {
    rounds: options.weighings,
    ...{ certificate, serverCpu, loadCpu },
  });
  const floors = describeFloors(SHAPES.map(({ title }) => title), outcome, weights.values);
  return [{ place: "first" as const, markdown: floors, raw: null }, weights.part];
}

try {
  await contest({
    name: "tls",
    title: "What an echo over TLS costs",
    about: [
      "An echo under `native/tls_load.c`, which verifies the certificate (ECDSA, P-256) and compares",
      `every byte; TLS 1.3, AES-128-GCM for all. ${seconds} s each, load on CPU ${loadCpu}. C is`,
      `\`native/tls_echo.c\`: epoll and the same libssl.so.3 as netpoll's (${openssl}). Bun has BoringSSL`,
      "within, Deno rustls, and Node an OpenSSL of its own: there is another cryptography below each.",
      "Handshakes cost BoringSSL and rustls less: OpenSSL 3.0 looks up its algorithms anew in each, and of",
      "a resumed one in C perf finds 54 % in libcrypto and 13 % in malloc, locks and strcmp. So do large",
      "messages: AES-GCM of OpenSSL 3.0 lacks the wide instructions (VAES) that OpenSSL has from 3.1 on; of",
      "1 MiB both ways it takes 400 µs here, and BoringSSL's 170.",
    ],
    entrants: [
      built("c", "C, epoll", "tls_echo"),
      ours("bun", "netpoll in Bun"),
      ours("deno", "netpoll in Deno"),
      peer("bun-listen", "Bun.listen", "bun", "bun_listen.ts"),
      peer("deno-listen", "Deno.listenTls", "deno", "deno_listen.ts"),
      peer("bun-tls", "node:tls in Bun", "bun", "node_net.mjs"),
      peer("deno-tls", "node:tls in Deno", "deno", "node_net.mjs"),
      peer("node-tls", "node:tls in Node", "node", "node_net.mjs"),
      built("rust", "rustls and tokio", "rust-tls"),
      nginx(plain.port),
    ],
    bases: [
      ["÷ C", () => "c"],
      ["÷ its runtime's own", ({ name }) => OWN[name] ?? ""],
      ["÷ node:tls in its runtime", ({ name }) => NODE[name] ?? ""],
    ],
    prepare: (server) => measure(server, SHAPES[0]!, 1),
    cases: shapes.map((one) => ({
      title: one.title,
      figures: one.mode === "resumed" ? [...FIGURES, RESUMED] : FIGURES,
      measure: (server: Server) => measure(server, one, seconds),
    })),
    figures: FIGURES,
    parts,
  }, options);
} finally {
  await plain.stop();
  rmSync(directory, { recursive: true });
}

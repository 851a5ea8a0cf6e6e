/**
 * The load over UDP against servers that are honest, and against servers that lie; and every peer
 * over UDP in this runtime, whose bytes the load compares. Go's and Rust's are tested where they were
 * built (`make -C bench go-peers rust-peers`).
 */
import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { runFile, runtimePath } from "../../bench/harness/candidates.ts";
import { startServer } from "../../bench/harness/child.ts";
import { host } from "../../ffi/runtime.ts";
import { type Ended, Program } from "../../scripts/program.ts";
import { built } from "../support/bench_programs.ts";
import { root } from "../support/library.ts";

const PROGRAM_MS_MAX = 30_000;

function load(port: number, pid: number, options: string): Promise<Ended> {
  const at = ["-p", `${port}`, "-S", `${pid}`, "-t", "0.1", "-w", "0"];
  const argv = [built("udp_load"), ...at, ...options.split(" ")];
  return new Program({ argv, timeoutMs: PROGRAM_MS_MAX }).ended;
}

const SHAPES = ["-c 5 -s 64", "-s 1200 -b 64", "-s 1200 -b 64 -g", "-s 64 -b 64 -q"];

const OF_RUNTIME: Readonly<Record<string, Record<string, string[]>>> = {
  bun: {
    "Bun.udpSocket, send": runFile("bun", "bench/peers/bun_udp.ts", ["send"]),
    "Bun.udpSocket, sendMany": runFile("bun", "bench/peers/bun_udp.ts", ["many"]),
  },
  deno: {
    "Deno.listenDatagram": [
      runtimePath("deno"),
      ...["run", "-A", "--no-check", "--unstable-net", `${root}bench/peers/deno_udp.ts`],
    ],
  },
};

/** Peers of other languages, which are left out where their compiler is absent. */
const OTHERS = [["x/net in Go", "go-udp"], ["quinn-udp in Rust", "rust-udp"]]
  .map(([title, name]) => [title!, `${root}bench/build/${name}`] as const)
  .filter(([, program]) => existsSync(program))
  .map(([title, program]) => [title, [program]] as const);

const SERVERS: Readonly<Record<string, string[]>> = {
  "C in batches": [built("udp_echo"), "batch"],
  "C with trains": [built("udp_echo"), "trains"],
  "C one by one": [built("udp_echo"), "one"],
  "netpoll": runFile(host.name, "bench/servers/udp.ts"),
  "netpoll without trains": runFile(host.name, "bench/servers/udp.ts", ["off"]),
  "netpoll with waits": runFile(host.name, "bench/servers/udp.ts", ["wait"]),
  "node:dgram": runFile(host.name, "bench/peers/node_udp.mjs"),
  ...OF_RUNTIME[host.name],
  ...Object.fromEntries(OTHERS),
};

for (const [title, argv] of Object.entries(SERVERS)) {
  test(`udp_load finds every byte of ${title} right`, async () => {
    const server = await startServer({ argv });
    const { port, pid } = server;
    try {
      for (const shape of SHAPES) {
        const { code, stdout, stderr } = await load(port, pid, shape);
        assertEquals(code, 0, stderr);
        const { datagrams, server_us_per_datagram } = JSON.parse(stdout);
        assertGreater(datagrams, 0, shape);
        assertGreater(server_us_per_datagram, 0, shape);
      }
    } finally {
      await server.stop();
    }
  });
}

test("udp_load ends with 3 when another byte comes back, and counts what is lost", async () => {
  const liar = createSocket("udp4", (bytes, { port, address }) => {
    const changed = new Uint8Array(bytes);
    changed[changed.length - 1]! ^= 1;
    liar.send(changed, port, address);
  });
  const deaf = createSocket("udp4");
  for (const socket of [liar, deaf]) {
    socket.on("error", () => {}); // Bun tells of clients that have gone
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  try {
    const lied = await load(liar.address().port, process.pid, "-c 2");
    assertEquals([lied.code, lied.stdout], [3, ""]);
    assertMatch(lied.stderr, /bytes that it did not expect/);
    const { code, stdout } = await load(deaf.address().port, process.pid, "-c 2 -t 0.6");
    assertEquals(code, 0);
    const { datagrams, lost } = JSON.parse(stdout);
    assertEquals(datagrams, 0);
    assertGreater(lost, 0);
  } finally {
    liar.close();
    deaf.close();
  }
});

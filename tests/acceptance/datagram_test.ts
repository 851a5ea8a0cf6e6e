/**
 * The servers of UDP among the examples, asked by clients that others wrote.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import process from "node:process";
import { withDirectory } from "../support/library.ts";
import { lacks, lacksModule, runTool, SCALE, withServer } from "../support/tool.ts";

/** Asks by UDP. */
async function dig(port: string, ...args: string[]): Promise<string> {
  const { stdout } = await runTool("dig", ["+notcp", "+time=5", "@127.0.0.1", "-p", port, ...args]);
  return stdout;
}

const DNS = "examples/dns_server.ts";

test(
  "dig gets addresses, texts and refusals",
  { skip: lacks("dig") },
  async () => {
    await withServer(DNS, async (port) => {
      assertEquals(await dig(port, "+short", "Hello.TEST", "A"), "192.0.2.1\n");
      assertEquals(await dig(port, "+short", "hello.test", "AAAA"), "2001:db8::1\n");
      assertEquals(await dig(port, "+short", "hello.test", "TXT"), '"Hello from netpoll"\n');
      assertMatch(await dig(port, "absent.test"), /status: NXDOMAIN/);
      assertMatch(await dig(port, "hello.test", "MX"), /status: NOERROR.*\n.*ANSWER: 0/);
      assertMatch(await dig(port, "+opcode=notify", "hello.test"), /status: NOTIMP/);
    });
  },
);

test("dig gets what another server knows, and a failure at once where none is", {
  skip: lacks("dig"),
}, async () => {
  await withServer(DNS, async (upstream) => {
    await withServer(DNS, async (port) => {
      assertEquals(await dig(port, "+short", "own.test"), "10.1.2.3\n");
      assertEquals(await dig(port, "+short", "hello.test"), "192.0.2.1\n");
      assertMatch(await dig(port, "absent.test"), /status: NXDOMAIN/);
    }, ["--record", "own.test=10.1.2.3", "--upstream", `127.0.0.1:${upstream}`]);
  });
  await withServer(DNS, async (port) => {
    assertMatch(await dig(port, "+tries=1", "hello.test"), /status: SERVFAIL/);
  }, ["--record", "own.test=10.1.2.3", "--upstream", "127.0.0.1:1"]);
});

/** dnsperf asks each of its lines so often. */
const DNS_RUNS = 2000 * SCALE;
const DNS_LINES = ["hello.test A", "hello.test AAAA", "absent.test A", "hello.test TXT"];

test("dnsperf gets an answer to each of its questions, and the right code", {
  skip: lacks("dnsperf"),
}, () =>
  withDirectory(async (directory) => {
    const file = `${directory}/questions`;
    writeFileSync(file, DNS_LINES.join("\n") + "\n");
    await withServer(DNS, async (port) => {
      const at = ["-s", "127.0.0.1", "-p", port, "-d", file];
      // 8 clients, 100 questions under way in all.
      const { stdout } = await runTool("dnsperf", [
        ...at,
        ...["-n", `${DNS_RUNS}`, "-c", "8", "-q", "100", "-t", "10"],
      ]);
      const count = DNS_RUNS * DNS_LINES.length;
      assertMatch(stdout, new RegExp(`Queries sent: +${count}\n`));
      assertMatch(stdout, new RegExp(`Queries completed: +${count} \\(100`));
      assertMatch(stdout, /Queries lost: +0 /);
      const codes = `NOERROR ${count * 3 / 4} \\(75.00%\\), NXDOMAIN ${count / 4} \\(25.00%\\)`;
      assertMatch(stdout, new RegExp(`Response codes: +${codes}\n`));
    });
  }));

test("logger and netcat report to the collector, which adds up", {
  skip: lacks("logger", "nc"),
}, async () => {
  const printed = await withServer("examples/collector.ts", async (port) => {
    await runTool("logger", ["--server", "127.0.0.1", "--port", port, "--udp", "hello there"]);
    const lines =
      "hits:1|c\\nhits:2|c|@0.5\\nheat:20|g\\nheat:+1|g\\nway:3|ms\\nway:4|ms\\nnothing";
    await runTool("sh", ["-c", `printf '${lines}' | nc -u -w 1 127.0.0.1 ${port}`]);
  });
  assertMatch(printed, /^127\.0\.0\.1 notice .*hello there$/m);
  for (const line of ["hits 5", "heat = 21", "way 3.5 ms, 2 times", "1 lines were no metrics"]) {
    assert(printed.includes(`\n${line}\n`), printed);
  }
});

/** Debian's own, for which python3-statsd is a package. */
const PYTHON = "/usr/bin/python3";

test("a statsd client of Python reports to the collector, alone and in a pipeline", {
  skip: lacksModule(PYTHON, "statsd"),
}, async () => {
  const printed = await withServer("examples/collector.ts", async (port, server) => {
    const program = `
import socket, statsd
client = statsd.StatsClient("127.0.0.1", ${port}, prefix="shop")
for _ in range(1000): client.incr("orders")
client.decr("orders", 10)
client.gauge("stock", 7)
client.gauge("stock", -2, delta=True)
client.timing("page", 12.5)
client.set("users", "anna")
with client.pipeline() as pipe:
  for _ in range(300): pipe.incr("items", 2)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"<13>all are told", ("127.0.0.1", ${port}))
`;
    await runTool(PYTHON, ["-c", program]);
    await server.find(/all are told/); // the last datagram: those before it are counted by then
  });
  for (
    const line of ["shop.orders 990", "shop.stock = 5", "shop.items 600", "shop.users 1 different"]
  ) {
    assert(printed.includes(`\n${line}\n`), printed);
  }
  assertMatch(printed, /^shop\.page 12\.5 ms, 1 times$/m);
});

const cannotAsk = lacks("ntpdate") || (process.getuid?.() !== 0 && "only root has port 123") ||
  false;

test("ntpdate finds the clock of this machine right", { skip: cannotAsk }, async () => {
  await withServer(
    "examples/ntp_server.ts",
    async () => {
      const { stdout } = await runTool("ntpdate", ["-q", "127.0.0.123"]);
      const offset = /\(\+0000\) ([+-][0-9.]+) /.exec(stdout)?.[1] ??
        /offset ([+-]?[0-9.]+)/.exec(stdout)?.[1];
      assert(Math.abs(Number(offset)) < 1, stdout);
    },
    [],
    "127.0.0.123:123",
  );
});

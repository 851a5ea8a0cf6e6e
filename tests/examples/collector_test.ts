/**
 * examples/collector.ts before lines that make no sense, or mean harm; tests/acceptance/datagram_test.ts
 * has the programs of others that report.
 */
import { assert, assertEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { Statsd } from "../../examples/collector/statsd.ts";
import { readSyslog } from "../../examples/collector/syslog.ts";
import { start } from "../support/child.ts";
import { sent } from "../support/dgram.ts";

function linesOf(...datagrams: string[]): string[] {
  const statsd = new Statsd();
  for (const datagram of datagrams) statsd.add(datagram);
  return statsd.lines();
}

test("Statsd adds up what there is of metrics", () => {
  const cases: [string, string[]][] = [
    ["a:1|c\na:2|c\n\na:3|c\r\n", ["a 6"]],
    ["a:-5|c", ["a -5"]],
    ["a:1e3|c\na:.5|c\na:2.|c", ["a 1002.5"]],
    ["a:1|c|@0.1\na:1|c|@0.5|#x", ["a 10", "a{x} 2"]],
    ["a:5|g\na:+3|g\na:-10|g", ["a = -2"]],
    ["a:5|g\na:7|g\na:1|c", ["a = 7", "a 1"]],
    ["a:10|ms|@0.5\na:25|ms", ["a 15.0 ms, 3 times"]],
    ["a:4|h\nb:4|d", ["a 4.0 ms, 1 times", "b 4.0 ms, 1 times"]],
    ["a:x|s\na:y|s\na:x|s", ["a 2 different"]],
    ["a:1|c|#y:2,x:1\na:1|c|@0.5|#x:1,y:2", ["a{x:1,y:2} 3"]],
    ["__proto__:1|c\nconstructor:2|c", ["__proto__ 1", "constructor 2"]],
    ["a:1e308|c\na:1e308|c", ["a 1e+308", "1 lines found no room"]],
  ];
  for (const [datagram, lines] of cases) assertEquals(linesOf(datagram), lines, datagram);
});

test("Statsd counts lines that are none", () => {
  const lines = [
    ...["a", "a:1", "a:|c", ":1|c", "a:1|q", "a:NaN|c", "a:Infinity|c", "a:1e999|c", "a:0x10|c"],
    ...["a:1.2.3|c", "a:.|c", "a:--1|c", "a:1|c|@0", "a:1|c|@-1", "a:1|c|@2", "a:1|c|@x"],
    ...["a\x1b[2J:1|c", "a:1|c|#\x1b", `${"a".repeat(201)}:1|c`, "\x00", "a:1|c|#x|#x|#x|#x|#x"],
  ];
  for (const line of lines) assertEquals(linesOf(line), ["1 lines were no metrics"], line);
});

test("Statsd keeps so many names and members, and no more", () => {
  const statsd = new Statsd();
  for (let i = 0; i < 11_000; i++) statsd.add(`name${i}:1|c`);
  assertEquals(statsd.lines().length, 10_001);
  assertEquals(statsd.lines().at(-1), "1000 lines found no room");
  const sets = new Statsd();
  for (let i = 0; i < 110_000; i++) sets.add(`set${i % 2}:${i}|s`);
  assertEquals(sets.lines(), [
    ...["set0 50000 different", "set1 50000 different", "10000 lines found no room"],
  ]);
});

test("readSyslog() makes one line that can be printed of a datagram", () => {
  const cases: [string, string | null][] = [
    [
      "<13>1 2026-11-28T09:00:00Z host app 1 - - hello",
      "2026-11-28T09:00:00Z host app 1 - - hello",
    ],
    ["<34>Oct 11 22:14:15 host su: failed\n", "Oct 11 22:14:15 host su: failed"],
    ["<191>x", "x"],
    ["<192>x", null],
    ["<1234>x", null],
    ["<>x", null],
    ["hello", null],
    ["", null],
    ["<0>one\ntwo\x1b[2J\u2028\x85end", "one two [2J  end"],
  ];
  for (const [datagram, text] of cases) assertEquals(readSyslog(datagram)?.text ?? null, text);
  const severities = ["0", "7", "8", "13"].map((code) => readSyslog(`<${code}>x`)!.severity);
  assertEquals(severities, ["emerg", "debug", "emerg", "notice"]);
});

test("collector.ts prints what comes, and the sums when it is stopped", async () => {
  const server = start("examples/collector.ts", { args: ["127.0.0.1:0"] });
  const socket = createSocket("udp4");
  try {
    const [, port] = await server.find(/Listening on .*:(\d+);/);
    for (const bytes of [Uint8Array.of(0xff, 0xfe), Uint8Array.of()]) {
      await sent(socket, bytes, Number(port));
    }
    await sent(socket, new TextEncoder().encode("<13>all"), Number(port));
    await server.find(/127\.0\.0\.1 notice all\n/);
    const { code, stdout } = await server.stop("SIGINT");
    assertEquals(code, 0);
    assert(stdout.endsWith("1 lines were no metrics\nStopped\n"), stdout);
  } finally {
    socket.close();
    await server.stop();
  }
});

/**
 * examples/memcached_server.ts, as the clients of libmemcached and of Python see it, and beside a real server.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "node:net";
import { test } from "node:test";
import { freePort } from "../../bench/harness/child.ts";
import { askToEnd } from "../support/ask_to_end.ts";
import { portOf, withExample } from "../support/example.ts";
import { lacks, lacksModule, runTool, SCALE, TOOL_MS_MAX, withServerOf } from "../support/tool.ts";

/** Runs the cache while it calls. Nothing may have gone wrong in it. */
async function withCache(
  call: (port: number) => Promise<void>,
  ...args: string[]
): Promise<void> {
  const options = { args, timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample("examples/memcached_server.ts", "127.0.0.1:0", (at) => {
    return call(portOf(at));
  }, options);
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
}

test(
  "memccapable finds both protocols whole",
  { skip: lacks("memccapable") },
  () =>
    withCache(async (port) => {
      const at = ["-h", "127.0.0.1", "-p", `${port}`, "-t", "20"];
      for (const [which, count] of [["-a", 27], ["-b", 27]] as const) {
        const { stdout, stderr } = await runTool("memccapable", [...at, which]);
        assertMatch(stdout + stderr, /All tests passed/);
        assertEquals((stdout + stderr).match(/\[pass\]/g)?.length, count);
      }
    }),
);

test("memcslap and the other tools of libmemcached load, look at and empty the cache", {
  skip: lacks("memcslap", "memcstat", "memccp", "memccat", "memcrm"),
}, () =>
  withCache(async (port) => {
    const at = `--servers=127.0.0.1:${port}`;
    for (const how of [[], ["--binary"]]) {
      for (const what of ["set", "get", "mget"]) {
        const load = [`--execute-number=${200 * SCALE}`, "--concurrency=4", `--test=${what}`];
        await runTool("memcslap", [at, ...load, ...how]);
      }
      await runTool("memccp", [at, "README.md", ...how]);
      const { stdout } = await runTool("memccat", [at, "README.md", ...how]);
      assertMatch(stdout, /netpoll/);
      await runTool("memcrm", [at, "README.md", ...how]);
    }
    const { stdout } = await runTool("memcstat", [at]);
    assertMatch(stdout, /cmd_set: \d{3,}/);
  }));

test("clients in Python find every value again, by both protocols", {
  skip: lacks("python3") || lacksModule("/usr/bin/python3", "pymemcache") ||
    lacksModule("/usr/bin/python3", "pylibmc"),
}, () =>
  withCache(async (port) => {
    const args = ["tests/acceptance/memcached_client.py", `${port}`, `${500 * SCALE}`];
    const { stdout } = await runTool("/usr/bin/python3", args);
    assertEquals(stdout, "fine\n");
  }));

/** Each is said to a server that holds nothing. Numbers of cas differ, so `gets` stands in none. */
const LINES: readonly string[] = [
  "get|gets|set|set a|set a 0 0|incr|incr a|delete|touch|touch a|cas|nonsense|flush_all x",
  "set a 0 0 5|hello|get a|get a a b a|append a 1 0 1|!|prepend a 1 1 1|>|get a",
  "set a 4294967295 0 1|x|get a|set a x 0 1|set a 0 x 1|get a",
  "set a 0 0 5|1234567|get a|set a 0 0 2 noreply|hi|get a|set a 0 0 0||get a",
  "add a 0 0 1|x|add a 0 0 1|y|replace b 0 0 1|z|replace a 0 0 1|z|get a b|append c 0 0 1|x",
  "cas a 0 0 1 1|x|set a 0 0 1|x|cas a 0 0 1 999999|y|cas a 0 0 1 x|cas a 0 0 1 999999 noreply|y|get a",
  "incr n 1|set n 0 0 2|10|incr n 5|decr n 100|incr n x|incr n -1|incr n 18446744073709551615|get n",
  "set n 0 0 1|x|incr n 1|set n 0 0 0||incr n 1|decr n 1",
  "delete a|set a 0 0 1|x|delete a 0|delete a 1|delete a|set a 0 0 1|x|delete a noreply|get a",
  "set a 0 -1 1|x|get a|set a 0 0 1|x|touch a -1|get a|touch b 0|set a 0 0 1|x|touch a 0|get a",
  "set a 0 0 1|x|gat 0 a|gat -1 a|get a|gat|gat 0",
  "set a 0 0 1|x|flush_all|get a|set a 0 0 1|x|flush_all noreply|get a|flush_all 0|flush_all 100|set a 0 0 1|x|get a",
  `set ${"k".repeat(250)} 0 0 1|x|get ${"k".repeat(250)}|get ${"k".repeat(251)}`,
  "  get   a  |set  a  0 0  1|x|get a |GET a",
  "verbosity|verbosity 0|verbosity 1 noreply",
  "set a 0 0 -1|get a",
];

test("memcached_server.ts answers byte by byte as a real server does", {
  skip: lacks("memcached"),
}, async () => {
  const port = await freePort();
  const argv = ["memcached", "-p", `${port}`, "-l", "127.0.0.1", "-u", "nobody"] as const;
  await withServerOf(port, argv, () =>
    withCache(async (ours) => {
      for (const lines of LINES) {
        const bytes = ["flush_all", ...lines.split("|"), "quit", ""].join("\r\n");
        assertEquals(await askToEnd(ours, bytes), await askToEnd(port, bytes), lines);
        await Promise.all([ours, port].map((each) => askToEnd(each, "flush_all\r\nquit\r\n")));
      }
    }));
});

test("a value that is too large is refused, and the client goes on", {
  skip: lacks("sh", "nc"),
}, () =>
  withCache(async (port) => {
    const say = `printf 'set a 0 0 3000000\\r\\n'; head -c 3000000 /dev/zero; ` +
      `printf '\\r\\nget a\\r\\nquit\\r\\n'`;
    const { stdout } = await runTool("sh", ["-c", `(${say}) | nc 127.0.0.1 ${port}`]);
    assertEquals(stdout, "SERVER_ERROR object too large for cache\r\nEND\r\n");
  }));

test("a client that asks for much and reads nothing costs little, and holds up nobody", () =>
  withCache(async (port) => {
    const value = "x".repeat(1_000_000);
    for (let n = 0; n < 4; n++) {
      await askToEnd(port, `set k${n} 0 0 1000000\r\n${value}\r\nquit\r\n`);
    }
    const deaf = connect(port, "127.0.0.1");
    deaf.on("error", () => {}); // it is cut off in the end
    // 16 GB, if somebody kept them for it.
    deaf.write("get k0 k1 k2 k3 k0 k1 k2 k3 k0 k1 k2 k3 k0 k1 k2 k3\r\n".repeat(1000));
    deaf.pause();
    for (let n = 0; n < 20; n++) {
      const answer = await askToEnd(port, "get k1\r\nquit\r\n");
      assertEquals(answer.length, value.length + "VALUE k1 0 1000000\r\n\r\nEND\r\n".length);
    }
    deaf.destroy();
    const stats = await askToEnd(port, "stats\r\nquit\r\n");
    const hits = Number(/get_hits (\d+)/.exec(stats)?.[1]);
    assert(hits < 200, `${hits} values were got for a client that reads none`);
  }));

/**
 * The server of examples/redis_server.ts, as clients of others see it: those of Redis itself, of
 * Node, and a real server beside it.
 *
 * Small counts; ACCEPTANCE=full in the environment makes them a million, which takes minutes.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { freePort, type Server } from "../../bench/harness/child.ts";
import { Program } from "../../scripts/program.ts";
import { askToEnd } from "../support/ask_to_end.ts";
import { commandFor } from "../support/child.ts";
import { root } from "../support/library.ts";
import { BROKEN, REQUESTS, UNUSUAL } from "./redis_requests.ts";

const IS_FULL = process.env["ACCEPTANCE"] === "full";
const BULK_COUNT = IS_FULL ? 1_000_000 : 100_000;
/** So much may one program take, in all. */
const PROGRAM_MS_MAX = IS_FULL ? 600_000 : 50_000;
/** A client of ours waits so long for an answer, in milliseconds. */
const ANSWER_MS_MAX = 10_000;

function absence(program: string): string | false {
  const { error } = spawnSync(program, ["--version"], { stdio: "ignore" });
  return error === undefined ? false : `needs ${program}`;
}

const NO_CLI = absence("redis-cli");
const NO_BENCHMARK = absence("redis-benchmark");
const NO_SERVER = absence("redis-server");
const NO_NODE_CLIENTS = absence("node") ||
  (!existsSync(`${root}/tests/acceptance/node_modules/ioredis`) &&
    "needs npm ci in tests/acceptance");
for (const reason of new Set([NO_CLI, NO_BENCHMARK, NO_SERVER, NO_NODE_CLIENTS])) {
  if (reason !== false) console.error(`Part of the acceptance is skipped: it ${reason}`);
}

// ---- servers ----------------------------------------------------------------------------------------

async function startOurs(): Promise<Server> {
  const argv = commandFor("examples/redis_server.ts", { args: ["localhost:0"] }).flat();
  const program = new Program({ argv, cwd: root, env: { NETPOLL_LIB: undefined } });
  const [, port] = await program.find(/Listening on \S*:(\d+);.*\nTry: redis-cli/);
  return Object.assign(program, { port: Number(port) });
}

/** A real one, on a port that was free a moment ago, for it cannot choose one itself. */
async function startReal(): Promise<Server> {
  const port = await freePort();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", tmpdir()];
  const program = new Program({ argv: ["redis-server", ...args] });
  await program.find(/Ready to accept connections/);
  return Object.assign(program, { port });
}

let ours: Server;
before(async () => {
  ours = await startOurs();
});
after(() => ours.stop());

// ---- clients ----------------------------------------------------------------------------------------

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n` + words.map((word) => `$${word.length}\r\n${word}\r\n`).join("");
}

function cli(...args: string[]): string {
  const options = { encoding: "utf8" as const, timeout: PROGRAM_MS_MAX, env: { NO_COLOR: "1" } };
  return execFileSync("redis-cli", ["-p", `${ours.port}`, ...args], {
    ...options,
    env: { ...process.env, ...options.env },
  }).trimEnd();
}

/** Runs a program to its end, beside the server. What it printed. */
async function run(program: string, args: readonly string[], input?: string): Promise<string> {
  const argv = [program, ...args];
  const child = new Program({ argv, cwd: root, hasInput: true, timeoutMs: PROGRAM_MS_MAX });
  child.endInput(input);
  const { code, signal, stdout, stderr } = await child.ended;
  assertEquals([code, signal, stderr], [0, null, ""], `${argv.join(" ")}: ${stdout}`);
  return stdout;
}

// ---- beside a real server ---------------------------------------------------------------------------

test(
  "redis_server.ts answers byte by byte as a real server does",
  { skip: NO_SERVER },
  async () => {
    const real = await startReal();
    try {
      const both = async (bytes: string) => {
        const [a, b] = await Promise.all([askToEnd(ours.port, bytes), askToEnd(real.port, bytes)]);
        // The versions, and the number of the client, are its own.
        const ownless = (text: string) => text.replace(/[^]*modules\r\n\*0/, "").split("\r\n");
        assertEquals(ownless(a), ownless(b));
      };
      for (const version of ["2", "3"]) {
        for (const lines of Object.values(REQUESTS)) {
          const requests = lines.trim().split("\n").map((line) =>
            line.trim().split(/ +/).map((word) => word === '""' ? "" : word)
          );
          const all = [["FLUSHALL"], ["HELLO", version], ...requests, ["QUIT"]];
          await both(all.map(encode).join(""));
        }
      }
      for (const bytes of UNUSUAL) await both(bytes + encode(["QUIT"]));
      for (const bytes of BROKEN) await both(bytes);
    } finally {
      await real.stop();
    }
  },
);

// ---- the clients of Redis ---------------------------------------------------------------------------

for (const version of ["-2", "-3"]) {
  test(`redis-cli ${version} shows every kind of answer`, { skip: NO_CLI }, () => {
    const say = (...args: string[]) => cli("-n", "4", "--no-raw", version, ...args);
    assertEquals(say("FLUSHDB"), "OK");
    assertEquals(say("SET", "k", 'a "b"\n\xe9'), "OK");
    assertEquals(say("GET", "k"), '"a \\"b\\"\\n\\xc3\\xa9"');
    assertEquals(say("GET", "none"), "(nil)");
    assertEquals(say("INCRBY", "n", "41"), "(integer) 41");
    assertEquals(say("RPUSH", "l", "a", "b"), "(integer) 2");
    assertEquals(say("LRANGE", "l", "0", "-1"), '1) "a"\n2) "b"');
    assertEquals(say("LRANGE", "none", "0", "-1"), "(empty array)");
    assertEquals(say("HSET", "h", "f", "v"), "(integer) 1");
    assertEquals(say("HGETALL", "h"), version === "-3" ? '1# "f" => "v"' : '1) "f"\n2) "v"');
    assertEquals(say("SADD", "s", "m"), "(integer) 1");
    assertEquals(say("SMEMBERS", "s"), version === "-3" ? '1~ "m"' : '1) "m"');
    assertMatch(say("LPUSH", "k", "x"), /^\(error\) WRONGTYPE /);
    assertMatch(say("NONSENSE"), /^\(error\) ERR unknown command 'NONSENSE'/);
    assertEquals(say("TYPE", "h"), "hash");
    assertMatch(say("INFO"), /redis_version:[\d.]+\r?\n/);
    assertMatch(say("COMMAND", "COUNT"), /^\(integer\) \d{3}$/);
    assertEquals(say("CONFIG", "GET", "databases").includes('"16"'), true);
    assertEquals(cli("-n", "4", "--scan").split("\n").sort(), ["h", "k", "l", "n", "s"]);
  });
}

test("redis-cli --pipe loads many keys, and all of them are there", { skip: NO_CLI }, async () => {
  cli("FLUSHALL");
  let commands = "";
  for (let i = 0; i < BULK_COUNT; i++) commands += encode(["SET", `key:${i}`, `value ${i}`]);
  const out = await run("redis-cli", ["-p", `${ours.port}`, "--pipe"], commands);
  assertMatch(out, new RegExp(`errors: 0, replies: ${BULK_COUNT}\n`));
  assertEquals(cli("DBSIZE"), `${BULK_COUNT}`);
  for (const i of [0, 1, BULK_COUNT >> 1, BULK_COUNT - 1]) {
    assertEquals(cli("GET", `key:${i}`), `value ${i}`);
  }
});

/** Its shapes: how many at once, how many connections, how long the values are, how many in all. */
const SHAPES: readonly [pipeline: number, connections: number, bytes: number, count: number][] = [
  [1, 1, 64, 2000],
  [1, 50, 64, IS_FULL ? 200_000 : 5000],
  [16, 50, 64, IS_FULL ? 1_000_000 : 20_000],
  [128, 50, 64, IS_FULL ? 1_000_000 : 50_000],
  [1, 1000, 64, IS_FULL ? 200_000 : 2000],
  [16, 1000, 1024, IS_FULL ? 1_000_000 : 16_000],
  [16, 50, 65536, IS_FULL ? 50_000 : 1000],
];

const EVERY_KIND = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,mset";

for (const [pipeline, connections, bytes, count] of SHAPES) {
  const name = `redis-benchmark -P ${pipeline} -c ${connections} -d ${bytes}`;
  test(`${name} leaves what it has sent`, { skip: NO_BENCHMARK }, async () => {
    cli("FLUSHALL");
    const load = (...more: string[]) => {
      const shape = ["-P", pipeline, "-c", connections, "-d", bytes, "-n", count].map(String);
      return run("redis-benchmark", ["-p", `${ours.port}`, ...shape, "--csv", ...more]);
    };
    // Of each kind all connections are made anew, which takes redis-benchmark longer than the rest.
    const isEverything = IS_FULL || (pipeline === 16 && connections === 50 && bytes === 64);
    const csv = await load("-t", isEverything ? EVERY_KIND : "set,get,lpush,lpop");
    for (const line of csv.trim().split("\n").slice(1)) {
      assert(Number(line.split(",")[1]!.replaceAll('"', "")) > 0, line);
    }
    assertEquals(cli("STRLEN", "key:__rand_int__"), `${bytes}`);
    assertMatch(cli("GET", "key:__rand_int__"), /^VXKeHogKgJ=/); // its bytes are always the same
    // As many pushes as pops; what is sent in one go more than was asked for is answered, too.
    const replies = Math.ceil(count / pipeline) * pipeline;
    assert(Number(cli("LLEN", "mylist")) <= replies, "more was pushed than sent");
    if (isEverything) {
      assert(Number(cli("GET", "counter:__rand_int__")) >= count, "less was counted than sent");
      assertEquals(cli("HLEN", "myhash"), "1");
    }
  });
}

test("LRANGE answers what lies in a list of 100 000, and a slow reader gets all", {
  skip: NO_CLI,
}, async () => {
  cli("DEL", "long");
  const values = Array.from({ length: 100_000 }, (_, i) => `${i}`);
  const push = encode(["RPUSH", "long", ...values]);
  // Answers of 50 MiB to requests of a KiB: they are sent as they are read.
  const asked = 60;
  const text = await askToEnd(
    ours.port,
    push + encode(["LRANGE", "long", "0", "-1"]).repeat(asked) + encode(["QUIT"]),
  );
  const answer = `*100000\r\n${values.map((value) => `$${value.length}\r\n${value}\r\n`).join("")}`;
  assertEquals(text.length, `:100000\r\n+OK\r\n`.length + asked * answer.length);
  assert(text === `:100000\r\n${answer.repeat(asked)}+OK\r\n`, "another byte came back");
});

test("values of up to 20 MiB, of every byte, come back as they were sent", async () => {
  const every = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const all = every.repeat(20 << 12);
  // On both sides of what one read brings, of what a buffer holds, and of what a block is.
  for (const count of [65_500, 262_144, 700_000, 900_000, 1_048_560, 1_048_576, 3e6, 20 << 20]) {
    const value = all.slice(0, count);
    const requests = [["SET", "large", value], ["GET", "large"], ["DEL", "large"], ["QUIT"]];
    const text = await askToEnd(ours.port, requests.map(encode).join(""));
    assert(text === `+OK\r\n$${count}\r\n${value}\r\n:1\r\n+OK\r\n`, `another byte of ${count}`);
  }
  // The command in many words.
  for (const count of [10_000, 60_000, 100_000, 300_000]) {
    const requests = [["RPUSH", "many", ...Array(count).fill("word")], ["DEL", "many"], ["QUIT"]];
    assertEquals(
      await askToEnd(ours.port, requests.map(encode).join("")),
      `:${count}\r\n:1\r\n+OK\r\n`,
    );
  }
});

test("what would take all memory is refused", async () => {
  const requests = [
    ["SADD", "drawn", "x"],
    ["SRANDMEMBER", "drawn", "-9007199254740991"],
    ["SETRANGE", "drawn2", "9007199254740991", "x"],
    ["SETRANGE", "drawn2", "999999999", "x"],
    ["QUIT"],
  ];
  const answers = (await askToEnd(ours.port, requests.map(encode).join(""))).split("\r\n");
  assertEquals(answers.length, 6);
  for (const answer of answers.slice(1, 4)) assertMatch(answer, /^-ERR (value|string) /);
  assertEquals(answers[4], "+OK");
});

test("what a browser was made to send is no command, and it is cut off", async () => {
  for (const head of ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n"]) {
    await assertRejects(
      () => askToEnd(ours.port, `${head}\r\nSET browser x\r\n`),
      Error,
      "ECONNRESET",
    );
    assertEquals(await askToEnd(ours.port, "EXISTS browser\r\nQUIT\r\n"), ":0\r\n+OK\r\n");
  }
});

test("what expires goes by itself, asked for or not", { skip: NO_CLI }, async () => {
  cli("FLUSHALL");
  const set = Array.from({ length: 3000 }, (_, i) => encode(["SET", `e${i}`, "x", "PX", "1"]));
  await askToEnd(
    ours.port,
    set.join("") + encode(["SET", "stays", "x", "EX", "100"]) + encode(["QUIT"]),
  );
  const end = performance.now() + ANSWER_MS_MAX;
  while (cli("DBSIZE") !== "1") assert(performance.now() < end, "they are still there");
  assertEquals(cli("KEYS", "*"), "stays");
});

test("who subscribes and does not read is cut off, and nobody else notices", {
  skip: NO_CLI,
}, async () => {
  const subscriber = connect(ours.port, "127.0.0.1");
  subscriber.write(encode(["SUBSCRIBE", "news"]));
  await once(subscriber, "data");
  subscriber.pause();
  const count = 100;
  const publish = encode(["PUBLISH", "news", "x".repeat(1 << 20)]);
  const text = await askToEnd(ours.port, publish.repeat(count) + encode(["QUIT"]));
  // Some were for the subscriber, until it had more to read than a server keeps for anybody.
  const answers = text.split("\r\n");
  assertEquals(answers.length, count + 2);
  assertEquals(answers.slice(-3), [":0", "+OK", ""]);
  assert(answers.filter((answer) => answer === ":1").length >= 32, text);
  assertEquals(cli("PUBSUB", "NUMSUB", "news"), "news\n0");
  subscriber.destroy();
});

// ---- the clients of Node ----------------------------------------------------------------------------

for (const args of [["ioredis.mjs"], ["node_redis.mjs", "2"], ["node_redis.mjs", "3"]]) {
  const [file, ...more] = args;
  test(`${args.join(" ")} gets what it expects`, { skip: NO_NODE_CLIENTS }, async () => {
    const path = `tests/acceptance/clients/${file}`;
    assertMatch(await run("node", [path, `${ours.port}`, ...more]), /^\d\d answers as expected\n$/);
  });
}

// ---- the end ----------------------------------------------------------------------------------------

test("Ctrl-C ends it in order, and it had nothing to say", async () => {
  assertEquals((await ours.stop("SIGINT")).code, 0);
  assertMatch(ours.output, /^Listening on .*\nTry: .*\nStopped\n$/);
});

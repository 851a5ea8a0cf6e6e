/**
 * The test suite of Redis itself against examples/redis_server.ts, where REDIS_SUITE names a checkout
 * of Redis: `REDIS_SUITE=DIR make acceptance ACCEPTANCE_TESTS=tests/acceptance/redis_suite_test.ts`.
 *
 * A test that needs what the example does not have (a command, an option, the inside of a real server)
 * is missing; any other that fails is wrong.
 */
import { assertEquals } from "@std/assert";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { portOf, withExample } from "../support/example.ts";
import { root, withDirectory } from "../support/library.ts";
import { lacks } from "../support/tool.ts";

const UNITS = [
  "type/string",
  "type/incr",
  "type/hash",
  "type/set",
  "type/list",
  "keyspace",
  "expire",
  "protocol",
  "pubsub",
  "multi",
];
const UNIT_MS_MAX = 180_000;
const { REDIS_SUITE } = process.env;

/** The reasons of tests that fail because they ask for more than the example promises. */
const MISSING = [
  /unknown command/i,
  /unknown subcommand/i,
  /CONFIG SET/,
  /Unsupported option/,
];

/**
 * Tests by their names that need what the example does not have, and would take long to say so: commands
 * that block, and the inside of a real server.
 */
const SKIPPED = [
  "/B[LR](POP|MOVE|MPOP)|BRPOPLPUSH|[Bb]lock|Linked LMOVEs|Circular|Self-refer",
  "/DEBUG|RESP3 attributes|parsing$|SORT|SWAPDB|stale|lazy|replica|propagate|script|BUSY|zset",
  "/OBJECT|DUMP|sanitize dump|EVAL|notifications|CONFIG|loadaof|OOM|errorstats|If EXEC aborts",
];
/** The reason of a test that our list or the suite's own tags leave out. */
const NOT_RUN = "not run: it needs what the example does not have";
/** A test that fails leaves its connection as it was: those after it are judged in another run. */
const RUNS_MAX = 12;

/** The outcome of the tests of a unit: their names, and the failures. */
interface Outcome {
  readonly passed: Set<string>;
  readonly missing: Map<string, string>;
  readonly wrong: Map<string, string>;
}

/**
 * A copy of the suite that asks for no more than a server: what it sets up beside its tests may fail.
 */
function copySuite(to: string): void {
  for (const name of ["tests", "runtest"]) {
    cpSync(`${REDIS_SUITE}/${name}`, `${to}/${name}`, { recursive: true });
  }
  const edit = (path: string, from: string, into: string) => {
    const text = readFileSync(`${to}/${path}`, "utf8");
    if (!text.includes(from)) {
      throw new Error(`This suite is another one: ${path} has no "${from}"`);
    }
    writeFileSync(`${to}/${path}`, text.replaceAll(from, into));
  };
  edit("tests/unit/type/hash.tcl", "assert_morethan [memory_usage myhash] 0", "");
  edit("tests/support/server.tcl", "r function flush", "catch {r function flush}");
  edit(
    "tests/test_helper.tcl",
    '    [srv $level "client"] {*}$args\n}',
    '    if {[string equal -nocase [lrange $args 0 1] "config set"]} {\n' +
      '        if {[catch {set ok [[srv $level "client"] {*}$args]}]} {set ok OK}\n' +
      '        return $ok\n    }\n    [srv $level "client"] {*}$args\n}',
  );
}

/** Runs a unit to its end. What it printed, without colours. */
async function run(
  suite: string,
  unit: string,
  port: number,
  skipped: Iterable<string>,
): Promise<string> {
  writeFileSync(`${suite}/skipped`, [...SKIPPED, ...skipped].join("\n"));
  const args = ["--host", "127.0.0.1", "--port", `${port}`, "--single", `unit/${unit}`];
  const flags = ["--durable", "--ignore-encoding", "--ignore-digest", "--tags", "-needs:repl"];
  flags.push("--skipfile", `${suite}/skipped`);
  const argv = ["./runtest", ...args, ...flags];
  const command = { argv, cwd: suite, timeoutMs: UNIT_MS_MAX, encoding: "latin1" } as const;
  const { signal, stdout, stderr } = await new Program(command).ended;
  const printed = stdout + stderr;
  // deno-lint-ignore no-control-regex -- that is how colours are written
  return printed.replaceAll(/\x1b\[[0-9;]*m/g, "") + (signal === null ? "" : `\n[err]: ${signal}`);
}

function outcomeOf(printed: string): Outcome {
  const outcome: Outcome = { passed: new Set(), missing: new Map(), wrong: new Map() };
  for (const part of printed.split(/^(?=\[(?:ok|err|exception|skip|ignore)\])/m)) {
    // The second line may lack its beginning. What follows the third is the command and the stack.
    const [head = "", short = "", full = ""] = part.split("\n");
    const why = full.endsWith(short) ? full : short;
    const [, kind, name] =
      /^\[(ok|err|exception|skip|ignore)\]: (.*?)(?: \(\d+ ms\)| in tests\/.*)?$/.exec(head) ?? [];
    if (name === undefined) continue;
    if (kind === "ok") outcome.passed.add(name);
    else if (kind === "skip" || kind === "ignore") outcome.missing.set(name, NOT_RUN);
    else {
      const isMissing = MISSING.some((pattern) => pattern.test(`${name}\n${why}`));
      outcome[isMissing ? "missing" : "wrong"].set(name, why.slice(0, 160));
    }
  }
  return outcome;
}

/** Runs a unit again and again, without what is missing, until nothing more is. */
async function runUnit(suite: string, unit: string): Promise<Outcome> {
  const missing = new Map<string, string>();
  let last = outcomeOf("");
  for (let left = RUNS_MAX; left > 0; left--) {
    const before = missing.size;
    await withExample(`${root}examples/redis_server.ts`, "127.0.0.1:0", async (server) => {
      last = outcomeOf(await run(suite, unit, portOf(server), missing.keys()));
      for (const [name, why] of last.missing) {
        if (!missing.has(name)) missing.set(name, why);
      }
    }, { timeoutMs: UNIT_MS_MAX });
    if (missing.size === before) break;
  }
  return { ...last, missing };
}

const reason = REDIS_SUITE === undefined
  ? "REDIS_SUITE names no checkout of Redis"
  : existsSync(`${REDIS_SUITE}/runtest`)
  ? lacks("tclsh")
  : `there is no suite of Redis in ${REDIS_SUITE}`;

test(
  "the suite of Redis finds nothing wrong",
  { skip: reason },
  () =>
    withDirectory(async (directory) => {
      copySuite(directory);
      const wrong: string[] = [];
      for (const unit of UNITS) {
        const outcome = await runUnit(directory, unit);
        const { passed, missing } = outcome;
        console.log(
          `${unit}: ${passed.size} passed, ${outcome.wrong.size} wrong, ${missing.size} missing`,
        );
        for (const [name, why] of missing) console.log(`  missing: ${name}\n      ${why}`);
        for (const [name, why] of outcome.wrong) wrong.push(`${unit}: ${name}\n      ${why}`);
        if (passed.size === 0) wrong.push(`${unit}: no test has passed`);
      }
      for (const each of wrong) console.log(`  WRONG: ${each}`);
      assertEquals(wrong.length, 0);
    }),
);

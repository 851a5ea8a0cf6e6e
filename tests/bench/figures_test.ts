/**
 * The whole of `make bench`, as short as it can be: that it works, not what it measures.
 */
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Results } from "../../bench/harness/results.ts";
import { run } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";

const built = spawnSync("make", ["-s", "-C", `${root}bench`, "programs"], { encoding: "utf8" });
const skip = built.status === 0 ? false : `cannot build bench/native: ${built.stderr}`;

const CANDIDATES = ["c", "bun-sync", "deno-sync"];
const SCENARIOS = ["64x50", "rate"];

test(
  "run.ts figures measures, and keeps every round, tables and plots",
  { skip },
  () =>
    withDirectory(async (results) => {
      const shortly = ["--rounds", "1", "--seconds", "0.1", "--warmup", "0.05", "--trace", "0"];
      const what = ["--only", CANDIDATES.join(","), "--scenarios", SCENARIOS.join(",")];
      const args = [...what, ...shortly, "--results", results];
      const ended = await run(`${root}bench/run.ts`, { args: ["figures", ...args] });
      assertEquals([ended.code, ended.signal], [0, null], ended.stderr);

      const kept = JSON.parse(readFileSync(`${results}/figures.json`, "utf8")) as Results;
      assertEquals(
        kept.series.map(({ scenario, candidate }) => [scenario, candidate]),
        SCENARIOS.flatMap((scenario) => CANDIDATES.map((candidate) => [scenario, candidate])),
      );
      for (const { rounds, rate, scenario, failure } of kept.series) {
        assertEquals(failure, null);
        assertEquals(rounds.length, 1);
        assert(Number.isInteger(rounds[0]!.messages)); // 0 where nobody had the CPU meanwhile
        assertEquals(rate === null, scenario !== "rate");
      }
      const markdown = readFileSync(`${results}/figures.md`, "utf8");
      assertEquals(ended.stdout.trim(), markdown.trim());
      assertEquals(markdown.match(/^\| netpoll in /gm)?.length, 4);
      assert(existsSync(`${results}/cpu.svg`) && existsSync(`${results}/latency.svg`));
    }),
);

test("run.ts figures ends with code 2 and says what there is, when an option is wrong", async () => {
  const ended = await run(`${root}bench/run.ts`, { args: ["figures", "--nonsense", "1"] });
  assertEquals(ended.code, 2);
  assert(ended.stderr.includes("--scenarios"));
});

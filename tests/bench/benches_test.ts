import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { BENCHES, describeBenches } from "../../bench/harness/benches.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";

/** A table without the spaces and dashes that make it even. */
function bare(text: string): string {
  return text.replace(/[ \-:]+/g, " ");
}

test("BENCHES are modules, targets of the Makefile, and rows of README.md", () => {
  const makefile = readFileSync(`${root}bench/Makefile`, "utf8");
  const targets = /^BENCHES = ((?:.*\\\n)*.*)$/m.exec(makefile)![1]!.split(/[\s\\]+/);
  assertEquals(targets.toSorted(), BENCHES.map(({ name }) => name).toSorted());
  assertEquals(BENCHES.filter(({ file }) => !existsSync(`${root}bench/${file}`)), []);
  const readme = readFileSync(`${root}bench/README.md`, "utf8");
  assert(bare(readme).includes(bare(describeBenches())), `README.md lacks\n${describeBenches()}`);
});

test("run.ts lists the benches, and those of a bench its options", async () => {
  const all = await run(`${root}bench/run.ts`, { args: ["--help"] });
  assertEquals(all.code, 0, all.stderr);
  assert(all.stdout.includes(describeBenches()));
  const one = await run(`${root}bench/run.ts`, { args: ["idle-memory", "--help"] });
  assertEquals(one.code, 0, one.stderr);
  assert(/--connections VALUE +how many \(10000\)/.test(one.stdout), one.stdout);
  assertEquals((await run(`${root}bench/run.ts`, { args: ["nothing"] })).code, 2);
});

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Program, run } from "../../scripts/program.ts";
import { until } from "../support/until.ts";

const shell = (script: string) => ["sh", "-c", script];

test("find() goes on after the last match, and line() after that", async () => {
  const program = new Program({ argv: shell("echo one; echo two three; echo four; cat") });
  assertEquals((await program.find(/t\w+/))[0], "two");
  assertEquals([await program.line(), await program.line()], [" three", "four"]);
  await program.ended;
});

test("find() rejects with the output when the program ends, or takes too long", async () => {
  const ending = new Program({ argv: shell("echo out; echo err >&2; exit 3") });
  await assertRejects(() => ending.find(/never/), Error, "ended with 3");
  assertMatch(ending.output, /out\nerr\n/);
  const hanging = new Program({ argv: ["sleep", "60"] });
  await assertRejects(() => hanging.find(/never/, 20), Error, "ended with SIGKILL");
});

test("stop() ends what the program has started, too", async () => {
  const program = new Program({ argv: shell("sleep 60 & echo $!; wait") });
  const grandchild = await program.line();
  assertEquals((await program.stop()).signal, "SIGKILL");
  // Without a parent that waits for it, it may stay as a zombie, which has no memory.
  const isGone = () => !existsSync(`/proc/${grandchild}/exe`);
  await until(isGone, `the end of ${grandchild}`);
  assertEquals((await program.stop()).signal, "SIGKILL"); // once more does nothing
});

test("run() returns what was printed, and rejects for another code, a signal, or no program", async () => {
  const env = { A: "b", HOME: undefined };
  assertEquals(await run({ argv: shell('echo "$A${HOME-}"; pwd'), env, cwd: "/" }), "b\n/\n");
  await assertRejects(() => run({ argv: shell("echo why >&2; exit 1") }), Error, "why");
  await assertRejects(() => run({ argv: ["sleep", "60"], timeoutMs: 20 }), Error, "SIGKILL");
  await assertRejects(() => run({ argv: ["./no-such-program"] }), Error, "no-such-program");
});

test("write() and endInput() reach the program, and it outlives a signal that it handles", async () => {
  const script = 'read line; trap "echo told; exit 0" USR1; echo "got $line"; while :; do :; done';
  const program = new Program({ argv: shell(script), hasInput: true });
  program.write("a ");
  program.endInput("line\n");
  assertEquals(await program.line(), "got a line");
  program.signal("SIGUSR1");
  assertEquals(await program.finish(), "got a line\ntold\n");
});

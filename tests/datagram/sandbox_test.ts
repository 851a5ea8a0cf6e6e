import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";
import { lacksSandbox, runInTerminal } from "../support/terminal.ts";
import { type Attempted, readVerdicts } from "../support/verdict.ts";

const skip = lacksSandbox();
/** Ports that nobody has: below those that the kernel chooses. */
const [PORT, OTHER] = [9557, 9558];
const BOUND = `127.0.0.1:${PORT}`;
const REFUSED = "NotCapable --allow-net";

/** What the sandbox says to each call: "+" for allowed. */
async function verdicts(flags: string[], calls: Attempted[]): Promise<string[]> {
  const permissions = ["--allow-ffi", ...flags];
  const args = [JSON.stringify(calls), BOUND];
  const { output, hasAsked } = await runInTerminal(`${root}tests/support/datagram_calls.ts`, {
    permissions,
    args,
  });
  assertEquals(hasAsked, false, output);
  return readVerdicts(output).map((verdict) => verdict === "ALLOWED" ? "+" : verdict);
}

const WRITES = ["writeTo", "mallocTo", "writeTrain"] as const;

test("a socket is bound and dialled as TCP is, under Deno's permissions", { skip }, async () => {
  const calls: Attempted[] = [
    ["bind", BOUND],
    ["bind", `127.0.0.1:${OTHER}`],
    ["dial", BOUND],
    ["dial", `127.0.0.1:${OTHER}`],
    ["dial", `localhost:${PORT}`],
    ["bind", `:${PORT}`],
    ["pair", ""],
  ];
  assertEquals(
    await verdicts([`--allow-net=${BOUND}`], calls),
    ["+", REFUSED, "+", REFUSED, REFUSED, REFUSED, "+"],
  );
  assertEquals(await verdicts(["--allow-net"], calls), calls.map(() => "+"));
  assertEquals(
    await verdicts([], calls),
    calls.map(([call]) => call === "pair" ? "+" : REFUSED),
  );
  assertEquals((await verdicts(["--allow-net", "--deny-net=127.0.0.1"], calls)).at(-1), REFUSED);
});

test("each destination of a write is asked about, whatever writes to it", { skip }, async () => {
  const targets = ["127.0.0.2:53", "[::1]:53", BOUND];
  const calls = targets.flatMap((at) => WRITES.map((call): Attempted => [call, at]));
  // A refusal is no answer that is remembered: it is the same the second time.
  const all = [...calls, ...calls];
  const expected = all.map(([, at]) =>
    at === BOUND ? "+" : at === "[::1]:53" ? "TypeError" : REFUSED
  );
  assertEquals(await verdicts([`--allow-net=${BOUND}`], all), expected);
  assertEquals(
    await verdicts([`--allow-net=${BOUND},127.0.0.2:53`], all),
    expected.map((verdict) => verdict === REFUSED ? "+" : verdict),
  );
  assertEquals(
    await verdicts(["--allow-net", "--deny-net=127.0.0.2:53"], all),
    expected,
  );
});

test("an answer needs no permission beyond that to bind", { skip }, async () => {
  assertEquals(await verdicts([`--allow-net=${BOUND}`], [["reply", BOUND]]), ["+"]);
});

test("where all of the network is granted no destination is asked about: Deno would keep each", {
  skip: host.name !== "deno",
}, async () => {
  const asked = async (...permissions: string[]) => {
    const options = { permissions: ["--allow-ffi", "--allow-read", "--allow-env", ...permissions] };
    const { stdout, stderr } = await run("tests/runtime/asked.ts", options);
    return Number(/asked of (\d+)/.exec(stdout)?.[1] ?? assert(false, stderr));
  };
  assertEquals(await asked("--allow-net"), 0);
  for (const part of [["--allow-net=127.0.0.1,127.0.0.2"], ["--allow-net", "--deny-net=[::1]"]]) {
    assertEquals(await asked(...part) >= 1000, true, part.join(" "));
  }
});

import { assertEquals } from "@std/assert";
import { test } from "node:test";
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

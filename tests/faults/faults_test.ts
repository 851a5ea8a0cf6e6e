import { assertEquals } from "@std/assert";
import { run } from "../support/child.ts";
import { FAULT_KINDS, faultTest } from "../support/faults.ts";
import { libraryPath } from "../support/library.ts";
import { effectsOf, LATE, numberOf, SHORT } from "./errnos.ts";

faultTest("every error of the table has a number", () => {
  const effects = new Set(FAULT_KINDS.flatMap(effectsOf));
  for (const effect of effects) {
    if (effect !== LATE && effect !== SHORT) assertEquals(numberOf(effect) > 0, true, effect);
  }
});

// In a process of its own: in a test, what reaches nobody ends the tests.
faultTest(
  "scenarios end in the right bytes or a typed error, whichever receive fails",
  async () => {
    const { code, stdout, stderr } = await run("tests/faults/run.ts", {
      args: [
        ...["--several", "0", "--scenario", "echoSync,framed,drain", "--call", "recv"],
      ],
      env: { NETPOLL_LIB: libraryPath },
      timeoutMs: 50_000,
    });
    assertEquals(code, 0, stdout + stderr);
  },
);

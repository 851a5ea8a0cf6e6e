/**
 * Nothing makes the runtime stop the program and ask its user: each of these runs in a terminal.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { libraryPath, root } from "../support/library.ts";
import { lacksSandbox, runInTerminal } from "../support/terminal.ts";

const skip = lacksSandbox();
/** A port that nobody listens on: below those that the kernel chooses. */
const PORT = 9557;

for (const ffi of ["--allow-ffi", `--allow-ffi=${root}libnetpoll.so`]) {
  test(
    `nothing asks, with ${ffi.replace(root, "")} and one port of one name`,
    { skip },
    async () => {
      const permissions = [ffi, `--allow-net=localhost:${PORT}`];
      const shown = await runInTerminal(`${root}tests/support/quiet.ts`, {
        permissions,
        args: [`${PORT}`],
      });
      assertEquals(shown.hasAsked, false, shown.output);
      assertEquals(shown.output.trim().split(/\r?\n/), [
        "listen at all: NotCapable",
        "listen by name: done",
        "echo by name: done",
        "dial a number: NotCapable",
        "dial from: NotCapable",
        "dial another: NotCapable",
        "dial a path: NotCapable",
        "dial a name: NotCapable",
        "listen at a path: NotCapable",
        "send a file: NotCapable",
        "receive a file: NotCapable",
        "send a special file: NotCapable",
        "a large buffer: done",
        "a descriptor: done",
        "metrics: done",
        "signals: done",
        "shutdown: done",
      ]);
    },
  );
}

for (
  const [why, permissions, reason] of [
    ["without --allow-ffi", ["--allow-net", "--allow-env"], /LoadError: .*--allow-ffi/],
    ["for another library", ["--allow-ffi=/nowhere.so", "--allow-env"], /LoadError: /],
    ["for a library that is named", ["--allow-ffi=/nowhere.so"], /LoadError: /],
  ] as const
) {
  test(`netpoll does not load and does not ask, ${why}`, { skip }, async () => {
    const { hasAsked, output } = await runInTerminal(`${root}tests/support/buffer_alone.ts`, {
      permissions: [...permissions],
      env: { NETPOLL_LIB: libraryPath },
    });
    assertEquals(hasAsked, false, output);
    assertMatch(output, reason);
  });
}

const CLUSTER = `${root}tests/support/cluster_program.ts`;
const ffi = `--allow-ffi=${libraryPath},${root}libnetpoll.so`;

test("a cluster asks for no variables of the environment", { skip }, async () => {
  const permissions = [ffi, "--allow-net=127.0.0.1", `--allow-read=${root}`];
  const { hasAsked, output } = await runInTerminal(CLUSTER, { permissions });
  assertEquals(hasAsked, false, output);
  assertMatch(output, /echo hello/);
});

for (const granted of [[], [`--allow-read=${root}src`], [`--allow-read=${root}tests`]]) {
  const name = granted.join().replace(root, "") || "without --allow-read";
  test(`a cluster says what is missing and does not ask: ${name}`, { skip }, async () => {
    const permissions = [ffi, "--allow-net=127.0.0.1", ...granted];
    const { hasAsked, output } = await runInTerminal(CLUSTER, { permissions });
    assertEquals(hasAsked, false, output);
    assertMatch(output, /NetpollError: Cannot start a Worker for .*Requires read access/);
  });
}

test("a cluster does not ask whether it may import over the network", { skip }, async () => {
  const { hasAsked, output } = await runInTerminal(CLUSTER, {
    permissions: [ffi, "--allow-net=127.0.0.1", "--allow-read", "--allow-import=127.0.0.1:1"],
    args: ["stay", "https://127.0.0.1:2/handler.ts"],
  });
  assertEquals(hasAsked, false, output);
  assertMatch(output, /Cannot start a Worker for .*Requires import access to "127.0.0.1:2"/);
});

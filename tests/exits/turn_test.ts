/**
 * Ends amid a turn: a flush that joined others has resolved, and its bytes wait for the next answer.
 */
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { start } from "../support/child.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, until } from "../support/until.ts";

/** Requests that come together, the second or third of which ends the server. How that looks. */
async function endsAmid(way: string): Promise<[string, "end" | "reset", number | string | null]> {
  const program = start("tests/support/exits_in_turn.ts", { args: [way] });
  try {
    const port = Number((await program.find(/port (\d+)\n/))[1]);
    using peer = new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port });
    peer.send("one,two,tre,none");
    const { code, signal } = await soon(program.ended, "the program ends");
    await until(() => peer.isOver, "the end at the peer");
    return [peer.isReset ? "" : peer.received, peer.isReset ? "reset" : "end", code ?? signal];
  } finally {
    await program.stop();
  }
}

for (const way of ["process.exit()", "an exit of the runtime's own", "an exit in a microtask"]) {
  test(`flush() that has resolved is no loss, when its program ends amid a turn: ${way}`, async () => {
    assertEquals(await endsAmid(way), ["one,two,", "end", 3]);
  });
}

for (const way of ["SIGTERM", "SIGKILL", "SIGKILL after a pause", "SIGKILL after much"]) {
  test(`flush() that has resolved ends by a reset, when its program is killed amid a turn: ${way}`, async () => {
    assertEquals(await endsAmid(way), ["", "reset", way.split(" ")[0]!]);
  });
}

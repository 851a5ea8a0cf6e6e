import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { start } from "../support/child.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon } from "../support/until.ts";

/** Longer than a program without anything to wait for takes to end. */
const REST_MS = 300;

for (const shape of ["loop", "cluster"]) {
  test(`ref() takes unref() back: the process stays for whoever comes later, with a ${shape}`, async () => {
    const program = start("tests/support/referred.ts", { args: [shape] });
    try {
      const port = Number((await program.find(/port (\d+)\n/))[1]);
      await new Promise((resolve) => setTimeout(resolve, REST_MS)); // it must not end meanwhile
      using peer = new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port });
      peer.send("hello");
      assertEquals(await peer.receive(10), "echo hello");
      assertEquals((await soon(program.stop("SIGTERM"), "it ends")).signal, "SIGTERM");
    } finally {
      await program.stop();
    }
  });
}

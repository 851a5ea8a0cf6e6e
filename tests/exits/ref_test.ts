import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { start } from "../support/child.ts";
import { dialDatagram } from "../../mod.ts";
import { texts } from "../support/datagrams.ts";
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

test("unref() lets the process end, whatever its datagram sockets wait for", async () => {
  const program = start("tests/support/datagram_referred.ts");
  try {
    const { code, stdout } = await soon(program.ended, "it ends");
    assertEquals([code, /answer \d+/.exec(stdout)?.[0]], [0, "answer 3"]);
  } finally {
    await program.stop();
  }
});

test("ref() takes unref() back: the process stays for whoever sends later", async () => {
  const program = start("tests/support/datagram_referred.ts", { args: ["again"] });
  try {
    const port = Number((await program.find(/port (\d+)\n/))[1]);
    await new Promise((resolve) => setTimeout(resolve, REST_MS)); // it must not end meanwhile
    await using peer = await dialDatagram("udp4", `127.0.0.1:${port}`, { readTimeoutMs: 3000 });
    peer.write(new TextEncoder().encode("still here"));
    await peer.flush();
    assertEquals(await texts(peer, 1), ["still here"]);
    assertEquals((await soon(program.stop("SIGTERM"), "it ends")).signal, "SIGTERM");
  } finally {
    await program.stop();
  }
});

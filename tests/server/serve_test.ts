import { assertEquals, assertRejects } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { createListener, NetpollError, serve } from "../../mod.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon } from "../support/until.ts";

const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);

test("serve() rejects, for a handler module that is not there, and closes its listener", async () => {
  const nowhere = new URL("./nowhere.ts", import.meta.url);
  const listener = createListener("tcp", "127.0.0.1:0");
  await assertRejects(() => soon(serve(listener, nowhere, { pollerCount: 1 })), NetpollError);
  assertEquals(listener.fd, -1);
});

test("serve() ends when its signal is aborted, and leaves no listener of signals", async () => {
  const before = process.listenerCount("SIGINT");
  const over = new AbortController();
  const listener = createListener("tcp", "127.0.0.1:0");
  const served = serve(listener, HANDLER, { pollerCount: 1, signal: over.signal });
  assertEquals(process.listenerCount("SIGINT"), before + 1);
  using peer = new RawPeer(listener);
  peer.send("hello");
  await peer.receive(5);
  over.abort();
  await soon(served);
  assertEquals(process.listenerCount("SIGINT"), before);
});

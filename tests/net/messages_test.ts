import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { createListener, type ListenerMessage } from "../../mod.ts";
import { Listening } from "../support/heard.ts";

test("netpoll:listener:open and :close tell where, each once", () => {
  using listening = new Listening<ListenerMessage>("listener:open", "listener:close");
  const listener = createListener("tcp", "127.0.0.1:0");
  const { address } = listener;
  listener.close();
  listener.close();
  assertEquals(listening.heard, [
    { channel: "listener:open", message: { address } },
    { channel: "listener:close", message: { address } },
  ]);
});

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import { test } from "node:test";
import { dial, type DialMessage, SystemError } from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import { echo, serve } from "../support/serve.ts";

test("netpoll:dial tells start and end, or error and end, with one message", async () => {
  using listening = new Listening<DialMessage>("dial:start", "dial:end", "dial:error");
  const { loop, listener, served } = serve(echo);
  const { address } = listener;
  const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
  const client = await dial("tcp", at);
  await client.close();
  await loop.shutdown();
  await served;
  await assertRejects(() => dial("tcp", at));
  assertEquals(listening.names, ["dial:start", "dial:end", "dial:start", "dial:error", "dial:end"]);
  const [start, end, second, failed, last] = listening.messages;
  assert(start === end && second === failed && failed === last);
  assertEquals([end!.network, end!.address, "error" in end!], ["tcp", at, false]);
  assert(end!.connection === client && end!.durationMs! >= 0);
  assertEquals(last!.connection, null);
  assertInstanceOf(last!.error, SystemError);
});

test("a store that is bound to netpoll:dial:start is there in the callbacks of what is dialled", async () => {
  const store = new AsyncLocalStorage<string>();
  const start = channel("netpoll:dial:start");
  start.bindStore(
    store as AsyncLocalStorage<unknown>,
    (message) => (message as DialMessage).address,
  );
  const { loop, listener, served } = serve(echo);
  const { address } = listener;
  const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
  const seen = Promise.withResolvers<string | undefined>();
  const client = await dial("tcp", at, {
    onConnect: () => void seen.resolve(store.getStore()),
  });
  start.unbindStore(store as AsyncLocalStorage<unknown>);
  assertEquals([await seen.promise, store.getStore()], [at, undefined]);
  await client.close();
  await loop.shutdown();
  await served;
});

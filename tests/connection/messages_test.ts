import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { type ConnectionErrorMessage, dial, type TimeoutMessage } from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import { send } from "../support/pair.ts";
import { serve } from "../support/serve.ts";
import { until } from "../support/until.ts";

test("netpoll:connection:error has what a callback threw, and netpoll:timeout which deadline passed", async () => {
  using listening = new Listening<ConnectionErrorMessage & TimeoutMessage>(
    "timeout",
    "connection:error",
  );
  const { loop, listener, served } = serve(async ({ reader }) => {
    await reader.wait(100);
  }, { readTimeoutMs: 20, onError: () => {} });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  await send(client, "hello");
  await until(() => listening.heard.length === 2, "both");
  assertEquals(listening.names, ["timeout", "connection:error"]);
  const [late, failed] = listening.messages;
  assertEquals([late!.operation, late!.timeoutMs], ["read", 20]);
  assertEquals([late!.id, late!.connection], [failed!.id, failed!.connection]);
  assertInstanceOf(failed!.error, Error);
  await client.close({ timeoutMs: 0 });
  await loop.shutdown();
  await served;
});

import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  type ConnectionCloseMessage,
  type ConnectionErrorMessage,
  dial,
  type EventLoopOptions,
  type TimeoutMessage,
} from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import { send } from "../support/pair.ts";
import { echo, serve } from "../support/serve.ts";
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

/** A deadline, and what lets it pass. */
const DEADLINES: readonly (readonly [
  operation: TimeoutMessage["operation"],
  options: EventLoopOptions<undefined>,
  handle: (it: Connection) => void | Promise<void>,
])[] = [
  ["read", { readTimeoutMs: 20 }, ({ reader }) => reader.wait(100)],
  ["write", { writeTimeoutMs: 20, closeTimeoutMs: 20 }, ({ reader, writer }) => {
    reader.skip(reader.length);
    reader.release();
    writer.writeBinary(new Uint8Array(16 << 20));
    return writer.flush();
  }],
  ["idle", { idleTimeoutMs: 20 }, echo],
  ["lifetime", { lifetimeMs: 20 }, echo],
  [
    "rate",
    { limits: { connection: { bytesPerSecondMin: 1000, graceMs: 20 } } },
    ({ reader }) => reader.wait(100),
  ],
];

for (const [operation, options, handle] of DEADLINES) {
  test(`netpoll:timeout tells once of a deadline of a connection that passed: ${operation}`, async () => {
    using listening = new Listening<TimeoutMessage & ConnectionCloseMessage>(
      "timeout",
      "connection:close",
    );
    const { loop, listener, served } = serve(handle, { ...options, onError: () => {} });
    const client = await dial(listener.address);
    client.pauseRead();
    await send(client, "hello");
    const closed = () => listening.heard.find(({ message }) => message.connection !== client);
    await until(() => closed() !== undefined && listening.names.includes("connection:close"), "it");
    await client.close({ timeoutMs: 0 });
    await loop.shutdown({ timeoutMs: 0 });
    await served;
    const timeouts = listening.heard.filter(({ channel }) => channel === "timeout");
    assertEquals(timeouts.map(({ message }) => [message.operation, message.timeoutMs]), [
      [operation, 20],
    ]);
    const { id } = timeouts[0]!.message;
    const close = listening.heard.find(({ channel, message }) =>
      channel === "connection:close" && message.id === id
    );
    assertEquals(close?.message.reason, "timeout");
  });
}

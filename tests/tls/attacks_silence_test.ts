/**
 * A peer that stops amid a record: it is silent, whatever of the record is here.
 */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { dial, type EventLoopOptions, TimeoutError } from "../../mod.ts";
import { receive, send } from "../support/pair.ts";
import { tlsTest } from "../support/pki.ts";
import { serveSecure, trust } from "../support/secure.ts";
import { soon } from "../support/until.ts";

/** A relay that passes only so many bytes of its client's, once it is told. */
async function relayTo(port: number) {
  const gate = { leftBytes: Infinity };
  const relay = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    client.on("data", (bytes: Uint8Array) => {
      const passed = bytes.subarray(0, gate.leftBytes);
      gate.leftBytes -= passed.length;
      if (passed.length > 0) server.write(passed);
    });
    server.on("data", (bytes: Uint8Array) => client.write(bytes));
    for (const [one, other] of [[client, server], [server, client]] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const address = relay.address() as { port: number };
  return {
    gate,
    at: `127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      relay.close();
      await once(relay, "close");
    },
  };
}

const DEADLINES: Readonly<Record<string, EventLoopOptions<undefined>>> = {
  idle: { idleTimeoutMs: 100 },
  read: { readTimeoutMs: 100 },
  rate: { limits: { connection: { bytesPerSecondMin: 1000, graceMs: 100 } } },
};

for (const [operation, options] of Object.entries(DEADLINES)) {
  // Within the head of the record, after it, and within its body.
  for (const leftBytes of [3, 5, 20]) {
    tlsTest(
      `a peer that stops ${leftBytes} bytes into a record meets the ${operation} deadline`,
      async () => {
        const ended = Promise.withResolvers<unknown>();
        await using server = serveSecure(
          async ({ reader, writer, closed }) => {
            closed.then(() => ended.resolve(null), ended.resolve);
            await reader.wait(4);
            writer.writeBinary(reader.next(4));
            await writer.flush();
            const waits = reader.wait(8); // of which it has four
            await waits.catch((error) => error instanceof TimeoutError && ended.resolve(error));
          },
          {},
          options,
        );
        await using relay = await relayTo(server.port);
        const client = await dial("tcp", relay.at, { tls: trust() });
        await send(client, "abcdefgh");
        assertEquals(await receive(client, 4), "abcd");
        relay.gate.leftBytes = leftBytes;
        void send(client, "more").catch(() => {});
        const error = await soon(ended.promise);
        assertInstanceOf(error, TimeoutError);
        assertEquals(error.operation, operation);
        await client.close().catch(() => {});
      },
    );
  }
}

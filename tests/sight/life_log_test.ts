import { assertEquals, assertMatch } from "@std/assert";
import { hasSubscribers } from "node:diagnostics_channel";
import { test } from "node:test";
import { configure, dial, type LogLevel, type TlsClientOptions } from "../../mod.ts";
import { config } from "../../src/core/config.ts";
import { receive, send } from "../support/pair.ts";
import { serveSecure } from "../support/secure.ts";
import { echo, serve } from "../support/serve.ts";
import { delay, until } from "../support/until.ts";

/** Logs into an array while a body runs: the level, and the line without its prefix. */
async function logging(
  logLevel: LogLevel,
  body: (lines: readonly string[]) => Promise<void>,
): Promise<string[]> {
  const lines: string[] = [];
  const before = { ...config };
  configure({ logLevel, log: (line, level) => lines.push(line.replace("netpoll:", level)) });
  try {
    await body(lines);
  } finally {
    configure(before);
  }
  return lines;
}

const CHANNELS = [
  "listener:open",
  "listener:close",
  "accept:refused",
  "connection:open",
  "connection:close",
  "timeout",
  "tls:handshake",
  "dial:start",
  "dial:error",
  "request:end",
];

test("the log listens to the channels of its level only, and to none unless it was asked to", () => {
  const heard = () => CHANNELS.filter((name) => hasSubscribers(`netpoll:${name}`)).length;
  const before = config.logLevel;
  assertEquals([before, heard()], ["warn", 0]);
  for (
    const [logLevel, count] of [["info", 8], ["debug", 10], ["info", 8], ["error", 0]] as const
  ) {
    configure({ logLevel });
    configure({ logLevel });
    assertEquals([logLevel, heard()], [logLevel, count]);
  }
  configure({ logLevel: before });
});

test("the life of a connection can be told from the log alone, from its handshake to its end", async () => {
  let port = 0;
  const lines = await logging("debug", async (lines) => {
    const server = serveSecure(
      async ({ reader, writer }) => {
        const text = reader.readString(reader.length);
        reader.release();
        if (text === "fail") throw new RangeError("no such thing");
        await delay(1);
        writer.writeString(text);
        await writer.flush();
      },
      {},
      { onError: () => {} },
    );
    port = server.port;
    const client = await server.dial();
    for (const text of ["hello", "good bye"]) {
      await send(client, text);
      await receive(client, text.length);
    }
    await send(client, "fail");
    await until(
      () => lines.filter((line) => line.includes("closed after")).length === 1,
      "its end",
    );
    await client.close({ timeoutMs: 0 });
    await server[Symbol.asyncDispose]();
  });
  const [, accepted] = /connection (\d+) open, accepted/.exec(lines.join("\n")) ?? [];
  const [, peer] = new RegExp(`open, accepted: 127.0.0.1:${port} ↔ (.*)$`, "m")
    .exec(lines.join("\n")) ?? [];
  const story = lines.filter((line) =>
    line.includes(`connection ${accepted}`) || line.includes(`127.0.0.1:${port} ↔ ${peer}`)
  ).map((line) => line.replace(/ [\d.]+ ms/g, " T"));
  const ends = `127.0.0.1:${port} ↔ ${peer}`;
  assertEquals(story, [
    `debug TLS handshake done, TLSv1.3, TLS_AES_256_GCM_SHA384 after T: ${ends}`,
    `info connection ${accepted} open, accepted: ${ends}`,
    `debug connection ${accepted}, request 1 served after T, waited T, 5 bytes read`,
    `debug connection ${accepted}, request 2 served after T, waited T, 8 bytes read`,
    `debug connection ${accepted}, request 3 failed (RangeError: no such thing) after T, waited T, 4 bytes read`,
    `info connection ${accepted} closed after T: error (RangeError: no such thing); ` +
    `17 bytes received, 13 sent, 3 requests; ${ends}`,
  ]);
});

test("logLevel info tells of listeners, timeouts, failed handshakes and dials, and of no request", async () => {
  const lines = await logging("info", async (lines) => {
    const { loop, listener, served } = serve(echo, { idleTimeoutMs: 20, onError: () => {} });
    const { address } = listener;
    const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
    const client = await dial("tcp", at);
    await send(client, "hello");
    await until(() => lines.some((line) => line.includes("closed after")), "it was idle");
    await client.close({ timeoutMs: 0 });
    await loop.shutdown();
    await served;
    await dial("tcp", at).catch(() => {});
    const server = serveSecure();
    await server.dial({} as TlsClientOptions).catch(() => {});
    await until(() => lines.filter((line) => line.includes("handshake")).length === 2, "both ends");
    await server[Symbol.asyncDispose]();
  });
  const all = lines.join("\n");
  assertMatch(all, /^info listens on 127\.0\.0\.1:\d+$/m);
  assertMatch(all, /^info connection \d+, idle timeout: 20 ms have passed$/m);
  assertMatch(
    all,
    /^info connection \d+ closed after [\d.]+ ms: timeout \(TimeoutError: .*\); 5 bytes received/m,
  );
  assertMatch(all, /^info listens no more on 127\.0\.0\.1:\d+$/m);
  assertMatch(
    all,
    /^info dial 127\.0\.0\.1:\d+ failed after [\d.]+ ms: SystemError: .*ECONNREFUSED/m,
  );
  assertMatch(all, /^info TLS handshake failed \(TlsError: .*\) after [\d.]+ ms: /m);
  assertEquals(lines.filter((line) => line.includes(", request ") || !line.startsWith("info")), []);
});

const FAILING_LOGS = {
  "throws": () => {
    throw new Error("no log");
  },
  "rejects": () => Promise.reject(new Error("no log")),
};

for (const [how, log] of Object.entries(FAILING_LOGS)) {
  test(`a log that ${how} hurts no connection, and is no unhandled rejection`, async () => {
    const before = { ...config };
    configure({ logLevel: "debug", log });
    try {
      const { loop, listener, served } = serve(echo);
      const client = await dial(listener.address);
      await send(client, "hello");
      assertEquals(await receive(client, 5), "hello");
      await client.close();
      await loop.shutdown();
      await served;
    } finally {
      configure(before);
    }
  });
}

import { assertEquals, assertMatch } from "@std/assert";
import { connect } from "node:net";
import { test } from "node:test";
import {
  type AcceptRefusedMessage,
  configure,
  type Listener,
  type ProxyProtocolOptions,
} from "../../mod.ts";
import { config } from "../../src/core/config.ts";
import { Listening } from "../support/heard.ts";
import { echo, serve } from "../support/serve.ts";
import { until } from "../support/until.ts";

/** Connects, writes, and waits until it was reset. */
async function resetAfter(listener: Listener, text: string): Promise<void> {
  const { address } = listener;
  const socket = connect(address.transport === "tcp" ? address.port : 0, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(text);
  await new Promise((resolve) => socket.on("close", resolve));
}

interface Case {
  readonly reason: AcceptRefusedMessage["reason"];
  readonly proxyProtocol?: ProxyProtocolOptions;
  readonly error?: RegExp;
  readonly text: string;
  readonly line: RegExp;
}

const CASES: readonly Case[] = [
  {
    reason: "header",
    proxyProtocol: { trusted: ["127.0.0.1"] },
    text: "GET / HTTP/1.1\r\n\r\n",
    error: /^ProxyHeaderError: /,
    line: /^info netpoll: refused, its PROXY header \(ProxyHeaderError: .*\): 127.* ↔ 127.*$/,
  },
  {
    reason: "untrusted",
    proxyProtocol: { trusted: ["10.0.0.0/8"], untrusted: "refuse" },
    text: "hello",
    line: /^info netpoll: refused, it is no trusted proxy: 127\.0\.0\.1:\d+ ↔ 127\.0\.0\.1:\d+$/,
  },
  {
    reason: "per-address",
    text: "hello",
    line: /^info netpoll: refused, too many connections from its address: 127.* ↔ 127.*$/,
  },
];

for (const { reason, proxyProtocol, error, text, line } of CASES) {
  test(`netpoll:accept:refused and the log tell of a connection that is refused: ${reason}`, async () => {
    using listening = new Listening<AcceptRefusedMessage>("accept:refused", "connection:open");
    const lines: string[] = [];
    const before = { ...config };
    configure({ logLevel: "info", log: (text, level) => lines.push(`${level} ${text}`) });
    const most = reason === "per-address" ? { connectionsPerAddressMax: 1 } : {};
    const { loop, listener, served } = serve(echo, most, { proxyProtocol });
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    const first = reason === "per-address" ? connect(port, "127.0.0.1") : null;
    first?.on("error", () => {});
    if (first !== null) await until(() => listening.names.includes("connection:open"), "the first");
    await resetAfter(listener, text);
    await until(() => listening.names.includes("accept:refused"), "the refusal");
    first?.destroy();
    await loop.shutdown();
    await served;
    configure(before);
    const all = listening.heard.filter(({ channel }) => channel === "accept:refused");
    assertEquals(all.length, 1);
    const { message } = all[0]!;
    assertEquals([message.reason, "error" in message], [reason, error !== undefined]);
    assertEquals(message.localAddress, address);
    assertMatch(JSON.stringify(message.remoteAddress), /"127\.0\.0\.1","port":[1-9]/);
    if (error !== undefined) assertMatch(`${message.error}`, error);
    assertEquals(listening.names.includes("connection:open"), first !== null);
    assertEquals(lines.filter((each) => line.test(each)).length, 1, lines.join("\n"));
  });
}

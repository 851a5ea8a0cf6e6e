import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { dial, metrics, TlsError, type TlsHandshakeMessage } from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import { serveSecure } from "../support/secure.ts";
import { ticks, until } from "../support/until.ts";

test("netpoll:tls:handshake tells of both ends of a handshake, and what it found", async () => {
  using listening = new Listening<TlsHandshakeMessage>("tls:handshake");
  await using server = serveSecure();
  const client = await server.dial();
  await until(() => listening.heard.length === 2, "both ends");
  const [one, two] = listening.messages;
  assertEquals(one!.localAddress, two!.remoteAddress);
  assertEquals(one!.remoteAddress, two!.localAddress);
  assertEquals([one!.protocol, one!.cipher], [two!.protocol, two!.cipher]);
  assertEquals([one!.protocol, one!.isResumed], ["TLSv1.3", false]);
  assert(!("error" in one!) && one!.durationMs >= 0, JSON.stringify(one));
  await client.close();
});

test("netpoll:tls:handshake has the error of one that failed", async () => {
  using listening = new Listening<TlsHandshakeMessage>("tls:handshake");
  await using server = serveSecure();
  await server.dial({}).catch(() => {}); // nobody it trusts
  await until(() => listening.heard.length === 2, "both ends");
  for (const { error, protocol, cipher, serverName } of listening.messages) {
    assertInstanceOf(error, TlsError);
    assertEquals([protocol, cipher, serverName], [null, null, null]);
  }
});

test("netpoll:tls:handshake has one message of a handshake that is given up, on both ends", async () => {
  using listening = new Listening<TlsHandshakeMessage>("tls:handshake");
  const silent = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => stop.abort()); // the first message of TLS
  });
  await once(silent.listen(0, "127.0.0.1"), "listening");
  const stop = new AbortController();
  const at = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await dial("tcp", at, { tls: {}, signal: stop.signal }).catch(() => {});
  silent.close();
  const server = serveSecure();
  const before = metrics().connections.accepted;
  const plain = await dial("tcp", server.at); // says nothing
  await until(() => metrics().connections.accepted > before, "the handshake begins");
  await ticks(5);
  await server[Symbol.asyncDispose]();
  await plain.close({ timeoutMs: 0 }).catch(() => {});
  await until(() => listening.heard.length >= 2, "both");
  await ticks(20);
  assertEquals(listening.messages.map((message) => "error" in message), [true, true]);
});

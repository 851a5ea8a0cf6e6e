import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { TlsError, type TlsHandshakeMessage } from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import { serveSecure } from "../support/secure.ts";
import { until } from "../support/until.ts";

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

import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { decodeProxyHeader, socketPair } from "../../mod.ts";
import { headerOf } from "../../src/client/proxy_option.ts";
import { packAddress, rawFromNumeric } from "../../src/net/address.ts";

const nameOf = (end: 0 | 1) => packAddress(rawFromNumeric(end === 0 ? "10.0.0.1" : "10.0.0.2", 9));

test("headerOf() writes LOCAL, given parts, and in version 1 the two ends", () => {
  assertEquals(headerOf(undefined), null);
  assertEquals(decodeProxyHeader(headerOf(true)!(nameOf))!.command, "LOCAL");
  const line = headerOf({ version: 1 })!(nameOf);
  assertEquals(Buffer.from(line).toString(), "PROXY TCP4 10.0.0.1 10.0.0.2 9 9\r\n");
  assertThrows(() => headerOf({ authority: 1 as never }), TypeError);
});

test("headerOf() passes on the ends of a connection, Unix ones as well", async () => {
  const [a, b] = socketPair();
  const header = decodeProxyHeader(headerOf(a)!(nameOf))!;
  assertEquals([header.source, header.destination], [a.remoteAddress, a.localAddress]);
  await a.close();
  await b.close();
});

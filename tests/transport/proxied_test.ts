import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { decodeProxyHeader, encodeProxyHeader } from "../../mod.ts";
import { clientAddress, proxyOf, setProxy } from "../../src/transport/proxied.ts";

test("proxyOf() has what setProxy() has said, of that endpoint alone", () => {
  const [one, other] = [{}, {}];
  assertEquals(proxyOf(one), null);
  const peer = { transport: "unix", path: "" } as const;
  const info = { ...decodeProxyHeader(encodeProxyHeader())!, peer, local: peer };
  setProxy(one, info);
  assertEquals([proxyOf(one), proxyOf(other)], [info, null]);
});

test("clientAddress() is a copy of a stream's address, and none of a datagram's", () => {
  const source = { transport: "tcp", hostname: "192.0.2.1", port: 1 } as const;
  const header = decodeProxyHeader(encodeProxyHeader({ source, destination: source }))!;
  const address = clientAddress(header, "source");
  assertEquals(address, source);
  assertEquals(address === header.source, false);
  assertEquals(clientAddress(null, "source"), null);
  const udp = { ...source, transport: "udp" } as const;
  const datagram = decodeProxyHeader(encodeProxyHeader({ source: udp, destination: udp }))!;
  assertEquals(clientAddress(datagram, "destination"), null);
});

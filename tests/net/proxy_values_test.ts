import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { ProxyHeaderError } from "../../mod.ts";
import { noValues, readValues, writeValues } from "../../src/net/proxy_values.ts";

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replace(/\s/g, ""), "hex"));
}

test("readValues() takes the first of a type, and keeps all of them as bytes", () => {
  const fields = readValues(hex("020001 61  020001 62  e50000  020002 ff63"));
  assertEquals([fields.authority, fields.values.length], ["a", 4]);
  assertEquals(readValues(hex("020002 ff63")).authority, "\ufffdc");
  assertEquals({ ...noValues(), values: [] }, noValues());
});

test("readValues() says that a client is verified only where it has shown a certificate", () => {
  const tls = (digits: string) => readValues(hex(`200005 ${digits}`)).tls;
  assertEquals(tls("00 00000000"), null); // no TLS at all
  assertEquals([tls("01 00000000")!.isVerified, tls("01 00000000")!.verification], [false, 0]);
  assertEquals(tls("03 00000000")!.isVerified, true);
  assertEquals(tls("05 00000000")!.isVerified, true);
  assertEquals([tls("03 00000014")!.isVerified, tls("03 00000014")!.verification], [false, 20]);
  assertThrows(() => tls("01 000000"), ProxyHeaderError);
});

test("readValues() knows values of clouds by their form, and leaves others alone", () => {
  assertEquals(readValues(hex("ea0005 01 76706365")).awsEndpointId, "vpce");
  assertEquals(readValues(hex("ea0005 02 76706365")).awsEndpointId, null);
  assertEquals(readValues(hex("ea0000")).awsEndpointId, null);
  assertEquals(readValues(hex("ee0005 01 04030201")).azureLinkId, 0x0102_0304);
  assertEquals(readValues(hex("ee0004 01 040302")).azureLinkId, null);
  assertEquals(readValues(hex("e00008 ffffffffffffffff")).gcpConnectionId, 2n ** 64n - 1n);
  assertEquals(readValues(hex("e00003 010203")).gcpConnectionId, null);
});

test("writeValues() writes them in one order, with lengths of two bytes", () => {
  const written = writeValues({
    alpn: "h2",
    namespace: "n",
    tls: { hadCertificate: true, protocol: "T" },
    values: [{ type: 255, bytes: new Uint8Array(300) }],
  });
  assertEquals(
    Buffer.from(written).toString("hex"),
    "0100026832" + "200009" + "0500000000" + "21000154" + "3000016e" + "ff012c" + "00".repeat(300),
  );
});

import { assert, assertEquals } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { certificateOf } from "../../src/tls/certificate.ts";
import { identity, type Made, tlsTest } from "../support/pki.ts";

function read({ certificate }: Made) {
  const runtime = new X509Certificate(certificate);
  return { read: certificateOf(new Uint8Array(runtime.raw)), runtime };
}

tlsTest("certificateOf() reads what the runtime reads", () => {
  const { read: ours, runtime } = read(identity("read", {
    names: "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,email:x@example.org,URI:https://a.test/",
    rsaBits: 2048,
  }));
  assertEquals(ours.subject, runtime.subject);
  assertEquals(ours.issuer, runtime.issuer);
  assertEquals(ours.fingerprint, runtime.fingerprint256);
  assertEquals(BigInt(`0x${ours.serialNumber}`), BigInt(`0x${runtime.serialNumber}`));
  assertEquals(ours.validFrom, new Date(runtime.validFrom));
  assertEquals(ours.validTo, new Date(runtime.validTo));
  assertEquals(ours.names, runtime.subjectAltName!.split(", "));
});

tlsTest("certificateOf() reads dates of this century's second half, and of 1999", () => {
  const dates = ["19990203040506Z", "20510203040506Z"] as const;
  const { read: { validFrom, validTo } } = read(identity("dates", { dates }));
  assertEquals(validFrom.toISOString(), "1999-02-03T04:05:06.000Z");
  assertEquals(validTo.toISOString(), "2051-02-03T04:05:06.000Z");
});

tlsTest("certificateOf() takes a comma in a name for no second name", () => {
  const uri = hex("http://x, DNS:admin.test, y");
  const { read: { names } } = read(identity("comma", { names: `DER:30${length(uri)}86${uri}` }));
  assertEquals(names, ["URI:http://x, DNS:admin.test, y"]);
});

tlsTest("certificateOf() takes a line break in a name for no second part", () => {
  const { read: { subject } } = read(identity("line\nCN=admin"));
  assertEquals(subject, "CN=line\\0ACN=admin");
  assertEquals(subject.split("\n").length, 1);
});

tlsTest("certificateOf() writes control characters and backslashes of names out", () => {
  const name = hex("a\0b\\c");
  const { read: { names } } = read(
    identity("control", { names: `DER:30${length(name)}82${name}` }),
  );
  assertEquals(names, ["DNS:a\\00b\\\\c"]);
});

tlsTest("certificateOf() reads addresses, and names that it does not know", () => {
  const { read: { names } } = read(identity("addresses", {
    names: "IP:::1,IP:2001:db8::5:0:1,IP:10.0.0.255,RID:1.2.3.4,otherName:1.2.3;UTF8:x",
  }));
  assertEquals(names.slice(0, 3), [
    "IP Address:::1",
    "IP Address:2001:db8::5:0:1",
    "IP Address:10.0.0.255",
  ]);
  assert(names.slice(3).every((name) => name.startsWith("other:#")), names.join());
});

tlsTest("certificateOf() of every beginning of a certificate, and of changed ones, ends", () => {
  const { read: { raw } } = read(identity("read"));
  for (let count = 0; count < raw.length; count++) certificateOf(raw.slice(0, count));
  for (let at = 0; at < raw.length; at++) {
    for (const value of [0x00, 0x7f, 0x80, 0x84, 0xff]) {
      const changed = raw.slice();
      changed[at] = value;
      certificateOf(changed);
    }
  }
});

function hex(text: string): string {
  const bytes = [...new TextEncoder().encode(text)].map((byte) =>
    byte.toString(16).padStart(2, "0")
  );
  return byteOf(bytes.length) + bytes.join("");
}

/** The length of one name, whose tag stands before it. */
function length(name: string): string {
  return byteOf(name.length / 2 + 1);
}

function byteOf(value: number): string {
  return value.toString(16).padStart(2, "0");
}

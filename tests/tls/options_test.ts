import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import type { TlsClientOptions, TlsServerOptions } from "../../mod.ts";
import { readClientOptions, readIdentity, readServerOptions } from "../../src/tls/options.ts";

const PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
const good = { certificate: PEM, key: PEM };

const WRONG: readonly [
  name: string,
  options: unknown,
  error: typeof TypeError | typeof RangeError,
][] = [
  ["no options", null, TypeError],
  ["no certificate", {}, TypeError],
  ["no key", { certificate: PEM }, TypeError],
  ["a path in place of a certificate", { ...good, certificate: "/etc/ssl/server.pem" }, TypeError],
  ["an empty array", { ...good, key: new Uint8Array(0) }, TypeError],
  ["a password that is none", { ...good, password: 7 }, TypeError],
  ["a response of OCSP that is a text", { ...good, ocspResponse: "good" }, TypeError],
  ["a version that there is none of", { ...good, versionMin: "1.1" }, TypeError],
  [
    "versions that exclude each other",
    { ...good, versionMin: "1.3", versionMax: "1.2" },
    RangeError,
  ],
  ["no list of protocols", { ...good, alpnProtocols: "h2" }, TypeError],
  ["an empty protocol", { ...good, alpnProtocols: [""] }, TypeError],
  ["a protocol of 256 letters", { ...good, alpnProtocols: ["x".repeat(256)] }, TypeError],
  ["a time that is none", { ...good, handshakeTimeoutMs: -1 }, RangeError],
  ["a descriptor that is none", { ...good, keyLogFd: 1.5 }, RangeError],
  ["clients that are verified by nobody", { ...good, clientCertificate: "require" }, TypeError],
  ["a wish of clients that is none", { ...good, clientCertificate: "yes" }, TypeError],
  ["a name with a star in the middle", { ...good, names: { "a.*.org": good } }, TypeError],
  ["names that are no properties", { ...good, names: new Map([["a.org", good]]) }, TypeError],
  ["names that are a text", { ...good, names: "a.org" }, TypeError],
  ["a name without a certificate", { ...good, names: { "a.org": {} } }, TypeError],
  ["a choice that is no function", { ...good, chooseIdentity: 1 }, TypeError],
  ["an option that is unknown", { ...good, cert: PEM }, TypeError],
];

for (const [name, options, error] of WRONG) {
  test(`readServerOptions() refuses ${name}`, () => {
    assertThrows(() => readServerOptions(options as TlsServerOptions), error as typeof TypeError);
  });
}

test("readServerOptions() tells no secret in an error", () => {
  const secrets: readonly unknown[] = [12345678, 12345678n, ["12345678"], Buffer.from("12345678")];
  for (const secret of secrets) {
    for (const options of [{ ...good, password: secret }, { ...good, key: [secret] }]) {
      const call = () => readServerOptions(options as TlsServerOptions);
      assertEquals(assertThrows(call, TypeError).message.includes("12345678"), false);
    }
  }
});

test("readServerOptions() passes on what is right, in text or bytes", () => {
  const bytes = new TextEncoder().encode(PEM);
  const names = { "*.example.org": { certificate: bytes, key: bytes } };
  const options = { ...good, names, alpnProtocols: ["h2"], handshakeTimeoutMs: 0 };
  assertEquals(readServerOptions(options), options);
});

const CLIENT_WRONG: readonly [name: string, options: unknown][] = [
  ["false", false],
  ["a certificate without a key", { certificate: PEM }],
  ["a name with a zero byte", { serverName: "good.test\0.evil.test" }],
  ["an empty name", { serverName: "" }],
  ["a name that would stand for all below it", { serverName: ".example.org" }],
  ["a name with a port", { serverName: "example.org:443" }],
  ["a wish that is no boolean", { verify: "no" }],
  ["a server's option", { names: {} }],
];

for (const [name, options] of CLIENT_WRONG) {
  test(`readClientOptions() refuses ${name}`, () => {
    assertThrows(() => readClientOptions(options as TlsClientOptions), TypeError);
  });
}

test("readClientOptions() passes on the name that certificates have", () => {
  assertEquals(readClientOptions({ serverName: "Bücher.Example." }), {
    serverName: "xn--bcher-kva.example",
  });
});

test("readClientOptions() takes true for the defaults", () => {
  assertEquals(readClientOptions(true), {});
});

test("readIdentity() says whose certificate is wrong", () => {
  assertThrows(
    () => readIdentity("tls.names", { certificate: PEM, key: "" }),
    TypeError,
    "tls.names",
  );
});

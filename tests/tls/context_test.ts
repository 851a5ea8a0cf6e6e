import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { native } from "../../ffi/load.ts";
import { TlsError } from "../../mod.ts";
import { clientContext, serverContext } from "../../src/tls/context.ts";
import { authority, identity, serverIdentity, tlsTest } from "../support/pki.ts";

tlsTest("serverContext() refuses a key that does not fit, and what is no certificate", () => {
  const { certificate } = serverIdentity();
  const { key } = identity("other");
  const error = assertThrows(() => serverContext({ certificate, key }), TlsError);
  assertEquals([error.reason, error.message], [
    "certificate",
    "Cannot use a key: key values mismatch",
  ]);
  const torn = certificate.slice(0, 300);
  assertThrows(() => serverContext({ certificate: torn, key }), TlsError, "a certificate");
  assertThrows(() => serverContext({ certificate, key: certificate }), TlsError, "a key");
  const { key: fitting } = serverIdentity();
  const tornChain = `${certificate}${authority().certificate.slice(0, 300)}`;
  assertThrows(() => serverContext({ certificate: tornChain, key: fitting }), TlsError);
});

tlsTest("serverContext() takes a chain, text or bytes, and a key with its password", () => {
  const { certificate, key } = serverIdentity();
  const chain = new TextEncoder().encode(`${certificate}\n${authority().certificate}`);
  serverContext({ certificate: chain, key }).close();
});

tlsTest("clientContext() refuses authorities without a certificate", () => {
  const nothing = "-----BEGIN NOTHING-----\n-----END NOTHING-----\n";
  const error = assertThrows(() => clientContext({ authorities: nothing }), TlsError);
  assertEquals(error.reason, "certificate");
});

tlsTest(
  "clientContext() refuses authorities of which one is malformed: no one is left out in silence",
  () => {
    const authorities = `${authority().certificate}${serverIdentity().certificate.slice(0, 300)}`;
    assertThrows(() => clientContext({ authorities }), TlsError, "authorities");
  },
);

tlsTest("Context.replace() takes the number of another one", () => {
  const one = serverContext(serverIdentity());
  const two = serverContext(identity("renewed") && { ...pick(identity("renewed")) });
  const { id } = one;
  two.replace(one);
  assertEquals(native.tlsContextFree(two.id), -9);
  assertEquals(one.id, id);
  one.close();
  assertInstanceOf(one, Object);
});

function pick({ certificate, key }: { certificate: string; key: string }) {
  return { certificate, key };
}

tlsTest("Context.close() twice frees nothing of others", () => {
  const one = serverContext(serverIdentity());
  one.close();
  const two = serverContext(serverIdentity());
  one.close();
  assertEquals(native.tlsContextFree(two.id), 0);
});

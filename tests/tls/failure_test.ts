import { assertEquals, assertInstanceOf } from "@std/assert";
import { TlsError } from "../../mod.ts";
import { serverContext } from "../../src/tls/context.ts";
import { identity, serverIdentity, tlsTest } from "../support/pki.ts";

tlsTest("failureOf() has OpenSSL's words as the cause, and no key in any of them", () => {
  const { certificate } = serverIdentity();
  const { key } = identity("other");
  let error: unknown;
  try {
    serverContext({ certificate, key });
  } catch (caught) {
    error = caught;
  }
  assertInstanceOf(error, TlsError);
  assertEquals((error.cause as Error).message, "OpenSSL: key values mismatch");
  const secret = key.split("\n")[1]!;
  assertEquals(`${error.message} ${error.cause} ${error.stack}`.includes(secret), false);
});

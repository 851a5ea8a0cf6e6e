import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TlsError } from "../../mod.ts";
import { Credentials } from "../../src/tls/credentials.ts";
import { identity, serverIdentity, tlsTest } from "../support/pki.ts";

tlsTest("Credentials.reload() keeps the number, and what was there when it fails", () => {
  const credentials = new Credentials(serverIdentity());
  const { id, options } = credentials;
  const { certificate, key } = identity("renewed");
  assertThrows(() => credentials.reload({ certificate, key: serverIdentity().key }), TlsError);
  assertEquals([credentials.id, credentials.options], [id, options]);
  credentials.reload({ certificate, key });
  assertEquals([credentials.id, credentials.options.certificate], [id, certificate]);
  credentials.close();
});

tlsTest("Credentials.choose() makes each certificate ready once", async () => {
  const { certificate, key } = identity("chosen", { names: "DNS:chosen.example.org" });
  const chosen = { certificate, key };
  const credentials = new Credentials({
    ...serverIdentity(),
    chooseIdentity: (name) => name === null ? null : name === "broken" ? ({} as never) : chosen,
  });
  const first = await credentials.choose("a");
  assertEquals([await credentials.choose("b"), await credentials.choose(null)], [first, -1]);
  await assertRejects(() => credentials.choose("broken"), TypeError);
  credentials.close();
});

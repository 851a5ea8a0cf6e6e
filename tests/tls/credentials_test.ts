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

tlsTest("Credentials.choose() asks again when the options have changed meanwhile", async () => {
  const { certificate, key } = identity("chosen", { names: "DNS:chosen.example.org" });
  const chosen = { certificate, key };
  const asked: string[] = [];
  const answer = Promise.withResolvers<void>();
  const credentials = new Credentials({
    ...serverIdentity(),
    chooseIdentity: async () => {
      asked.push("before");
      await answer.promise;
      return chosen;
    },
  });
  const pending = credentials.choose("a");
  credentials.reload({
    ...serverIdentity(),
    chooseIdentity: () => {
      asked.push("after");
      return chosen;
    },
  });
  answer.resolve();
  const id = await pending;
  assertEquals([asked, id >= 0], [["before", "after"], true]);
  assertEquals(await credentials.choose("b"), id);
  credentials.close();
});

tlsTest("Credentials.choose() keeps 512 certificates ready, however many are made", async () => {
  const { certificate, key } = identity("chosen", { names: "DNS:chosen.example.org" });
  const identities = Array.from({ length: 600 }, () => ({ certificate, key }));
  const credentials = new Credentials({
    ...serverIdentity(),
    chooseIdentity: (name) => identities[Number(name)]!,
  });
  const ids = new Set<number>();
  const first = await credentials.choose("0");
  for (let at = 0; at < identities.length; at++) {
    ids.add(await credentials.choose(`${at}`));
    assertEquals(await credentials.choose("0"), first); // it is used all the time, so it stays
  }
  assertEquals(ids.size, 513);
  credentials.close();
});

tlsTest("Credentials.choose() refuses when the listener has closed meanwhile", async () => {
  const answer = Promise.withResolvers<{ certificate: string; key: string }>();
  const credentials = new Credentials({
    ...serverIdentity(),
    chooseIdentity: () => answer.promise,
  });
  const pending = credentials.choose("a");
  credentials.close();
  answer.resolve(serverIdentity());
  assertEquals(await pending, -1);
});

tlsTest("Credentials.askNobody() refuses a choice by program, later ones too", () => {
  const options = { ...serverIdentity(), chooseIdentity: () => null };
  const asking = new Credentials(options);
  assertThrows(() => asking.askNobody(), TypeError, "tls.names");
  asking.close();
  const credentials = new Credentials(serverIdentity());
  credentials.askNobody();
  assertThrows(() => credentials.reload(options), TypeError, "chooseIdentity");
  credentials.reload(serverIdentity());
  credentials.close();
});

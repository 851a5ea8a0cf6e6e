import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash, generateKeyPairSync } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkSubjects, opened, signed, statementFor } from "../../scripts/provenance.ts";
import { root, withDirectory } from "../support/library.ts";

function keys(): { privateKey: string; publicKey: string } {
  return generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
}

/** A directory of two artefacts. */
function withArtefacts(run: (folder: string) => void): Promise<void> {
  return withDirectory((folder) => {
    writeFileSync(join(folder, "a.tgz"), "a");
    writeFileSync(join(folder, "b.js"), "b");
    writeFileSync(join(folder, "netpoll-1.0.0.provenance.json"), "{}");
    run(folder);
  });
}

test("statementFor() is a statement of in-toto with each file's digest, the commit and the builder", () =>
  withArtefacts((folder) => {
    const statement = statementFor(root, folder, "https://example.com/builder");
    assertEquals(statement._type, "https://in-toto.io/Statement/v1");
    assertEquals(statement.predicateType, "https://slsa.dev/provenance/v1");
    const sha256 = createHash("sha256").update("a").digest("hex");
    assertEquals(statement.subject.map(({ name }) => name), ["a.tgz", "b.js"]);
    assertEquals(statement.subject[0]!.digest, { sha256 });
    const text = JSON.stringify(statement.predicate);
    assertMatch(text, /"builder":\{"id":"https:\/\/example.com\/builder"\}/);
    assertMatch(text, /"gitCommit":"[0-9a-f]{40}"/);
    checkSubjects(statement, folder);
  }));

test("checkSubjects() refuses a file that was changed, added or taken away", () =>
  withArtefacts((folder) => {
    const statement = statementFor(root, folder);
    writeFileSync(join(folder, "a.tgz"), "other");
    assertThrows(() => checkSubjects(statement, folder), Error, "Cannot trust a.tgz");
    writeFileSync(join(folder, "a.tgz"), "a");
    writeFileSync(join(folder, "c.so"), "c");
    assertThrows(() => checkSubjects(statement, folder), Error, "Cannot trust c.so");
    rmSync(join(folder, "c.so"));
    rmSync(join(folder, "b.js"));
    assertThrows(() => checkSubjects(statement, folder), Error, "Cannot trust b.js");
  }));

test("opened() gives the statement that was signed, and refuses another key or other bytes", () =>
  withArtefacts((folder) => {
    const { privateKey, publicKey } = keys();
    const statement = statementFor(root, folder);
    const envelope = signed(statement, privateKey);
    assertEquals(opened(envelope, publicKey), statement);
    assertThrows(() => opened(envelope, keys().publicKey), Error, "not signed with this key");
    const payload = Buffer.from(envelope.payload, "base64");
    payload[10]! ^= 1;
    const changed = { ...envelope, payload: payload.toString("base64") };
    assertThrows(() => opened(changed, publicKey), Error, "not signed with this key");
    assert(envelope.signatures[0]!.keyid.length === 64);
  }));

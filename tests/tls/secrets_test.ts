/**
 * Secrets that nobody may find: keys and passwords in what is printed, logged, thrown and measured.
 */
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { run } from "../support/child.ts";
import { authority, identity, tlsTest } from "../support/pki.ts";

const PASSWORD = "correct horse battery staple";

/** Forms of a text in which somebody could print it. */
function formsOf(text: string): string[] {
  const bytes = [...new TextEncoder().encode(text)];
  const pairs = bytes.map((byte) => byte.toString(16).padStart(2, "0"));
  return [text, bytes.join(","), bytes.join(", "), pairs.join(""), pairs.join(" ")];
}

tlsTest("no key and no password is in what a program prints, in any form", async () => {
  const folder = mkdtempSync(`${tmpdir()}/netpoll-secrets-`);
  try {
    const { certificateFile, keyFile, key } = identity("server", { rsaBits: 2048 });
    cpSync(certificateFile, `${folder}/server.pem`);
    cpSync(identity("other").keyFile, `${folder}/other.key`);
    cpSync(authority().certificateFile, `${folder}/authority.pem`);
    const encrypted = `${folder}/encrypted.key`;
    const made = spawnSync("openssl", [
      ...["pkcs8", "-topk8", "-in", keyFile, "-out", encrypted, "-passout", `pass:${PASSWORD}`],
    ]);
    assertEquals(made.status, 0, String(made.stderr));
    const program = await run("tests/support/tell_all.ts", { args: [folder, PASSWORD] });
    assertEquals(program.code, 0, program.stderr);
    const said = program.stdout + program.stderr;
    assert(said.includes("CN=server") && said.includes("has not failed") === false, said);
    const keys = [key, readFileSync(encrypted, "utf8"), identity("other").key];
    const lines = keys.flatMap((pem) => pem.split("\n").filter((line) => line.length > 40));
    assert(lines.length > 30);
    for (const secret of [PASSWORD, "BEGIN PRIVATE", "BEGIN ENCRYPTED", ...lines]) {
      for (const form of formsOf(secret.slice(0, 40))) {
        assert(!said.includes(form), `${form} is in ${near(said, form)}`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function near(text: string, part: string): string {
  const at = text.indexOf(part);
  return text.slice(Math.max(0, at - 300), at + 100);
}

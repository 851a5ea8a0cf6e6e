/**
 * What was good enough once: old versions, weak ciphers, keys and digests. A stranger's program, which allows all of
 * them, offers nothing else.
 */
import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dial, type NetpollError, TlsError } from "../../mod.ts";
import { run } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, type Made, tlsTest, type Wishes } from "../support/pki.ts";
import { echoBack, serveSecure, trust } from "../support/secure.ts";
import { strangeClient, strangeServer, WEAK } from "../support/strangers.ts";
import { until } from "../support/until.ts";

const OFFERS: readonly [what: string, args: readonly string[]][] = [
  ["TLS 1.0", ["-tls1", ...WEAK]],
  ["TLS 1.1", ["-tls1_1", ...WEAK]],
  ["no encryption", ["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"]],
  ["nobody's keys", ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"]],
  ["CBC", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384"]],
  ["keys without forward secrecy", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"]],
  ["keys of Diffie and Hellman without curves", [
    "-tls1_2",
    "-cipher",
    "DHE-RSA-AES128-GCM-SHA256",
  ]],
  ["a group of 8192 bits", ["-tls1_3", "-groups", "ffdhe8192"]],
  ["a shared password", ["-tls1_2", "-psk", "00112233", "-cipher", "PSK:@SECLEVEL=0"]],
  ["SHA-1", ["-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-sigalgs", "ECDSA+SHA1:RSA+SHA1"]],
  ["a small curve", ["-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-curves", "secp192r1"]],
];

for (const [what, args] of OFFERS) {
  tlsTest(
    `a server refuses a client that offers ${what} alone, and serves others`,
    () =>
      leaks(async () => {
        const errors: NetpollError[] = [];
        const rsa = identity("rsa", { rsaBits: 2048 });
        const names = { "rsa.example.org": { certificate: rsa.certificate, key: rsa.key } };
        await using secure = serveSecure(echoBack, { names }, {
          onHandshakeError: (error) => void errors.push(error),
        });
        for (const name of ["localhost", "rsa.example.org"]) {
          const { code } = await strangeClient(secure.at, [...args, "-servername", name]);
          assertEquals(code, 1);
        }
        await until(() => errors.length === 2, "both refusals");
        for (const error of errors) {
          assertInstanceOf(error, TlsError);
          assertEquals(error.reason, "protocol");
          assertMatch(error.message, /in common|not allowed here/);
        }
        const other = await secure.dial();
        await send(other, "hello");
        assertEquals(await receive(other, 5), "hello");
        await other.close();
      }),
  );

  tlsTest(`a client refuses a server that offers ${what} alone`, () =>
    leaks(async () => {
      for (const made of [identity("server"), identity("rsa", { rsaBits: 2048 })]) {
        await using server = await strangeServer(made, args);
        const dialled = dial("tcp", server.at, { tls: trust(), timeoutMs: 10_000 });
        const error = await assertRejects(() => dialled, TlsError);
        assertMatch(error.message, /in common|not allowed/);
      }
    }));
}

const WEAK_CONFIGURATION = `openssl_conf = all
[all]
ssl_conf = modules
[modules]
system_default = weak
[weak]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
`;

const rsa = (name: string, wishes: Wishes = {}) => identity(name, { rsaBits: 2048, ...wishes });
/** An authority that signs for localhost, so. */
const signed = (name: string, middle: Wishes, leaf: Wishes = {}) => () => {
  const by = rsa(name, { by: authority(), isAuthority: true, ...middle });
  return [rsa(`${name}-leaf`, { by, ...leaf }), by] as const;
};

const CERTIFICATES: readonly [what: string, made: () => readonly [Made, Made?]][] = [
  ["a key of 1024 bits", () => [identity("small", { rsaBits: 1024 })]],
  ["an authority's key of 1024 bits", signed("small-authority", { rsaBits: 1024 })],
  ["a certificate signed with SHA-1", signed("sha1", {}, { digest: "sha1" })],
  ["a certificate signed with MD5", signed("md5", {}, { digest: "md5" })],
  ["an authority signed with SHA-1", signed("sha1-authority", { digest: "sha1" })],
];

for (const [what, make] of CERTIFICATES) {
  tlsTest(`a client refuses a server that shows ${what}`, () =>
    leaks(async () => {
      const [own, by] = make();
      const chain = by === undefined ? [] : ["-cert_chain", by.certificateFile];
      await using server = await strangeServer(own, [...WEAK, ...chain]);
      const dialled = dial("tcp", server.at, { tls: trust(), timeoutMs: 10_000 });
      const error = await assertRejects(() => dialled, TlsError);
      assertEquals(error.reason, "certificate");
      assertMatch(error.message, /too weak|too small/);
    }));

  tlsTest(`a server refuses a client that shows ${what}`, () =>
    leaks(async () => {
      const errors: NetpollError[] = [];
      const authorities = authority().certificate;
      await using secure = serveSecure(echoBack, { authorities, clientCertificate: "require" }, {
        onHandshakeError: (error) => void errors.push(error),
      });
      const [own, by] = make();
      const chain = by === undefined ? [] : ["-cert_chain", by.certificateFile];
      const shown = ["-cert", own.certificateFile, "-key", own.keyFile, ...chain];
      await strangeClient(secure.at, [...WEAK, ...shown, "-ign_eof"], "");
      await until(() => errors.length === 1, "the refusal");
      assertInstanceOf(errors[0], TlsError);
      assertEquals(errors[0].reason, "certificate");
      assertMatch(errors[0].message, /too weak|too small/);
    }));
}

tlsTest(
  "a machine's configuration that allows weak keys and versions weakens no client",
  () =>
    leaks(async () => {
      const folder = mkdtempSync(`${tmpdir()}/netpoll-weak-`);
      try {
        const file = `${folder}/openssl.cnf`;
        writeFileSync(file, WEAK_CONFIGURATION);
        const dialAt = async ({ at }: { at: string }) => {
          const args = [at, authority().certificateFile];
          const env = { OPENSSL_CONF: file };
          return (await run("tests/support/dial_strange.ts", { args, env })).stdout;
        };
        {
          await using server = await strangeServer(identity("small", { rsaBits: 1024 }), WEAK);
          assertMatch(await dialAt(server), /too weak|too small/);
        }
        {
          await using server = await strangeServer(identity("server"), ["-tls1_1", ...WEAK]);
          assertMatch(await dialAt(server), /not allowed/);
        }
        {
          await using server = await strangeServer(identity("server"), []);
          assertEquals(await dialAt(server), "connected\n");
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
);

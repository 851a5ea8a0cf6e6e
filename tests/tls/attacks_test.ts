/**
 * Certificates that an attacker may show: to a client, and to a server that asks for some. Each is
 * refused with a reason, nothing is left, and others are served meanwhile.
 */
import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import {
  type Connection,
  type NetpollError,
  type TlsClientOptions,
  TlsError,
  type TlsIdentity,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, type Made, tlsTest, type Wishes } from "../support/pki.ts";
import { echoBack, type Secure, serveSecure, trust } from "../support/secure.ts";
import { until } from "../support/until.ts";

const FUTURE = ["20900101000000Z", "20910101000000Z"] as const;
/** An authority below that of these tests, which signs a certificate for localhost. */
const below = (name: string, wishes: Wishes, leaf: Wishes = {}) => () => {
  const middle = identity(name, { by: authority(), isAuthority: true, ...wishes });
  const { certificate, key } = identity(`${name}-leaf`, { by: middle, ...leaf });
  return { certificate: `${certificate}${middle.certificate}`, key };
};
const made = (name: string, wishes: Wishes) => () => plain(identity(name, wishes));

function plain({ certificate, key }: Made): TlsIdentity {
  return { certificate, key };
}

/** Wrong whoever shows them. */
const UNTRUSTED: readonly [what: string, identity: () => TlsIdentity, why: RegExp][] = [
  ["an expired certificate", made("expired", { days: -1 }), /certificate has expired/],
  ["one that is not good yet", made("future", { dates: FUTURE }), /not yet valid/],
  ["one that has signed itself", made("itself", { by: "itself" }), /self-signed certificate/],
  [
    "one of an unknown authority",
    () => plain(identity("stranger", { by: identity("strangers", { isAuthority: true }) })),
    /unable to get local issuer/,
  ],
  [
    "one signed by what is no authority",
    below("no-authority", { extensions: ["basicConstraints=CA:FALSE"] }),
    /invalid CA certificate/,
  ],
  [
    "one signed by an authority that may not sign",
    below("no-signer", { extensions: ["keyUsage=critical,digitalSignature"] }),
    /certificate signing|invalid CA/,
  ],
  [
    "one behind an authority that may have none below it",
    () => {
      const short = identity("short", {
        by: authority(),
        isAuthority: true,
        extensions: ["basicConstraints=critical,CA:TRUE,pathlen:0"],
      });
      const between = identity("between", { by: short, isAuthority: true });
      const { certificate, key } = identity("too-deep", { by: between });
      return { certificate: certificate + between.certificate + short.certificate, key };
    },
    /path length constraint exceeded/,
  ],
  [
    "one whose authority has expired",
    below("old-authority", { days: -1 }),
    /certificate has expired/,
  ],
  [
    "one that its authority may not sign, by its name",
    below("constrained", { extensions: ["nameConstraints=critical,permitted;DNS:example.org"] }),
    /permitted subtree violation/,
  ],
  [
    "one with a demand that nobody knows",
    made("critical", { extensions: ["1.2.3.4.5=critical,DER:05:00"] }),
    /unhandled critical extension/,
  ],
];

/** Wrong for one side. */
const FOR_SOMETHING_ELSE: readonly [
  victim: "client" | "server",
  what: string,
  identity: () => TlsIdentity,
][] = [
  [
    "client",
    "a client's certificate",
    made("a-clients", { extensions: ["extendedKeyUsage=clientAuth"] }),
  ],
  [
    "server",
    "a server's certificate",
    made("a-servers", { extensions: ["extendedKeyUsage=serverAuth"] }),
  ],
  [
    "client",
    "a certificate for signing programs",
    made("programs", { extensions: ["extendedKeyUsage=codeSigning"] }),
  ],
  [
    "client",
    "a certificate that is for signing others alone",
    made("signer", { extensions: ["keyUsage=critical,keyCertSign"] }),
  ],
];

/** Wrong for a server alone. The client dials 127.0.0.1 unless it is told another name. */
const OTHER_HOSTS: readonly [what: string, wishes: Wishes, serverName?: string][] = [
  ["another host", { names: "DNS:example.org" }, "localhost"],
  ["another address", { names: "IP:127.0.0.2" }],
  ["an IP address as a host name", { names: "DNS:127.0.0.1" }],
  ["a wildcard over an IP address", { names: "DNS:*.0.0.1" }],
  ["an IP address in the common name alone", { names: "" }],
  ["a host name in the common name alone", { names: "" }, "host-name.example.org"],
  ["a host name in the common name, beside an address", { names: "IP:127.0.0.1" }, "cn.test"],
  ["a wildcard for two labels", { names: "DNS:*.example.org" }, "a.b.example.org"],
  ["a wildcard for no label", { names: "DNS:*.example.org" }, "example.org"],
  ["a wildcard for a top level", { names: "DNS:*.org" }, "example.org"],
  ["a wildcard for everything", { names: "DNS:*" }, "localhost"],
  ["two wildcards", { names: "DNS:*.*.example.org" }, "a.b.example.org"],
  ["a wildcard behind a letter", { names: "DNS:f*.example.org" }, "foo.example.org"],
  ["a wildcard before a letter", { names: "DNS:*o.example.org" }, "foo.example.org"],
  ["a wildcard further on", { names: "DNS:a.*.example.org" }, "a.b.example.org"],
  [
    "a wildcard for a name of another script",
    { names: "DNS:xn--*.example.org" },
    "bücher.example.org",
  ],
  ["a name that ends in this one", { names: "DNS:evil-example.org" }, "example.org"],
  ["a name that begins with this one", { names: "DNS:example.org.evil.test" }, "example.org"],
  ["a name below it", { names: "DNS:www.example.org" }, "example.org"],
  // The two names of {localhost\0.evil.test}, and of {evil.test\0localhost}.
  [
    "a name with a zero byte",
    { names: "DER:3016:8214:6c6f63616c686f7374002e6576696c2e74657374" },
    "localhost",
  ],
  [
    "a name behind a zero byte",
    { names: "DER:3015:8213:6576696c2e74657374006c6f63616c686f7374" },
    "localhost",
  ],
  ["an address as an e-mail", { names: "email:localhost" }, "localhost"],
  ["a host in a URI", { names: "URI:https://localhost/" }, "localhost"],
];

/** The error of a client that dials. */
async function refusal(secure: Secure, options: TlsClientOptions): Promise<TlsError> {
  const error = await assertRejects(() => secure.dial(options), TlsError);
  assertInstanceOf(error.cause, Error);
  return error;
}

/** Somebody else's connection goes on. */
async function isServed(connection: Connection): Promise<void> {
  await send(connection, "hello");
  assertEquals(await receive(connection, 5), "hello");
}

function clientRefuses(what: string, show: () => TlsIdentity, why: RegExp): void {
  tlsTest(`a client refuses ${what}`, () =>
    leaks(async () => {
      await using secure = serveSecure(echoBack, show());
      const error = await refusal(secure, trust());
      assertEquals(error.reason, "certificate");
      assertMatch(error.message, why);
    }));
}

function serverRefuses(what: string, show: () => TlsIdentity, why: RegExp): void {
  tlsTest(`a server refuses ${what}, and serves others`, () =>
    leaks(async () => {
      const errors: NetpollError[] = [];
      await using secure = serveSecure(
        echoBack,
        { authorities: authority().certificate, clientCertificate: "request" },
        { onHandshakeError: (error) => void errors.push(error) },
      );
      const other = await secure.dial();
      const attacker = await secure.dial({ ...trust(), ...show() });
      const end = await attacker.closed.catch((error) => error);
      assertEquals((end.cause as TlsError).reason, "alert");
      await until(() => errors.length > 0, "the server's refusal");
      assertInstanceOf(errors[0], TlsError);
      assertEquals(errors[0].reason, "certificate");
      assertMatch(errors[0].message, why);
      await isServed(other);
      await other.close();
    }));
}

for (const [what, show, why] of UNTRUSTED) {
  clientRefuses(what, show, why);
  serverRefuses(what, show, why);
}
for (const [victim, what, show] of FOR_SOMETHING_ELSE) {
  (victim === "client" ? clientRefuses : serverRefuses)(what, show, /certificate purpose|purpose/);
}

let count = 0;
for (const [what, wishes, serverName] of OTHER_HOSTS) {
  tlsTest(`a client refuses a server that shows ${what}`, () =>
    leaks(async () => {
      const name = wishes.names === ""
        ? serverName ?? "127.0.0.1"
        : wishes.names === "IP:127.0.0.1"
        ? serverName!
        : `other-host-${++count}`;
      await using secure = serveSecure(echoBack, plain(identity(name, wishes)));
      const error = await refusal(secure, {
        authorities: authority().certificate,
        ...(serverName === undefined ? {} : { serverName }),
      });
      assertEquals(error.reason, "hostname");
      assertMatch(error.message, /mismatch/);
    }));
}

/** A certificate with so many others behind it that the chain has more than the 100 KiB that OpenSSL takes. */
function endless(name: string): TlsIdentity {
  const { certificate, key } = identity(name);
  return { certificate: certificate + authority().certificate.repeat(400), key };
}

tlsTest("a client refuses a chain of certificates that is too long", () =>
  leaks(async () => {
    await using secure = serveSecure(echoBack, endless("endless"));
    const error = await refusal(secure, trust());
    assertEquals(error.reason, "protocol");
    assertMatch(error.message, /excessive message size/);
  }));

tlsTest(
  "a server refuses a chain of certificates that is too long, and serves others",
  () =>
    leaks(async () => {
      const errors: NetpollError[] = [];
      await using secure = serveSecure(
        echoBack,
        { authorities: authority().certificate, clientCertificate: "request" },
        { onHandshakeError: (error) => void errors.push(error) },
      );
      const attacker = await secure.dial({ ...trust(), ...endless("endless") });
      await attacker.closed.catch(() => {});
      await until(() => errors.length > 0, "the server's refusal");
      assertMatch(errors[0]!.message, /excessive message size/);
      const other = await secure.dial();
      await isServed(other);
      await other.close();
    }),
);

import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClientTls, clientTlsOf } from "../../src/transport/client_tls.ts";
import { TlsError } from "../../mod.ts";
import { authority, tlsTest } from "../support/pki.ts";
import { serveSecure } from "../support/secure.ts";

tlsTest("clientTlsOf() makes the same of the same options, once", () => {
  const options = { authorities: authority().certificate };
  assertStrictEquals(clientTlsOf(options), clientTlsOf(options));
  assertEquals(clientTlsOf({ ...options }) === clientTlsOf(options), false);
  assertStrictEquals(clientTlsOf(true), clientTlsOf(true));
});

tlsTest("ClientTls.nameOf() is the host that is dialled, or the one that is given", () => {
  const authorities = authority().certificate;
  const tls = new ClientTls({ authorities });
  assertEquals(tls.nameOf("tcp", "example.org:443"), "example.org");
  assertEquals(tls.nameOf("tcp", "[::1]:443"), "::1");
  assertEquals(tls.nameOf("tcp", ":443"), "localhost");
  assertThrows(() => tls.nameOf("unix", "/run/x.sock"), TypeError, "serverName");
  tls.close();
  const named = new ClientTls({ authorities, serverName: "db.test" });
  assertEquals(named.nameOf("unix", "/run/x.sock"), "db.test");
  named.close();
});

for (const authorities of ["system", "runtime"] as const) {
  tlsTest(
    `ClientTls does not trust a server that no ${authorities} authority has signed`,
    async () => {
      await using server = serveSecure();
      const error = await assertRejects(() => server.dial({ authorities }), TlsError);
      assertEquals(error.reason, "certificate");
    },
  );
}

import { assert, assertEquals } from "@std/assert";
import { leaks } from "../support/leaks.ts";
import { authority, identity, tlsTest } from "../support/pki.ts";
import { echoBack, serveSecure } from "../support/secure.ts";

tlsTest("tlsInfo() tells all of a certificate", () =>
  leaks(async () => {
    const { certificate, key } = identity("told", { names: "DNS:localhost,IP:127.0.0.1,IP:::1" });
    await using server = serveSecure(echoBack, { certificate, key });
    const client = await server.dial({ authorities: authority().certificate });
    const { peerCertificate } = client.tls!;
    assert(peerCertificate !== null);
    const { subject, issuer, names, fingerprint, serialNumber, validFrom, validTo, raw } =
      peerCertificate;
    assertEquals([subject, issuer], ["CN=told", "CN=authority"]);
    assertEquals(names.slice(0, 2), ["DNS:localhost", "IP Address:127.0.0.1"]);
    assert(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(fingerprint), fingerprint);
    assert(/^[0-9A-F]+$/i.test(serialNumber));
    assert(validFrom.getTime() < Date.now() && Date.now() < validTo.getTime());
    assertEquals(raw[0], 0x30); // a sequence, in DER
    await client.close();
  }));

tlsTest("tls of a server without client certificates has no peer's", () =>
  leaks(async () => {
    const seen: unknown[] = [];
    await using server = serveSecure(echoBack, {}, {
      onConnect: ({ tls }) => void seen.push(tls?.peerCertificate, tls?.alpnProtocol),
    });
    const client = await server.dial();
    client.writer.writeByte(1);
    await client.writer.flush();
    await client.reader.wait(1);
    assertEquals(seen, [null, null]);
    await client.close();
  }));

/**
 * HAProxy and nginx send us PROXY headers, and read ours.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  type NetpollError,
  type ProxyHeaderOptions,
  type ProxyInfo,
} from "../../mod.ts";
import { shown } from "../support/outside.ts";
import { HAS_NGINX_STREAM, nginxHead, withProxy } from "../support/outside_proxy.ts";
import { send } from "../support/pair.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { lacks } from "../support/tool.ts";
import { until } from "../support/until.ts";

const NO_HAPROXY = lacks("haproxy");
const NO_NGINX = lacks("nginx") || (HAS_NGINX_STREAM ? false : "nginx without streams");
const CLIENT = { transport: "tcp", hostname: "192.0.2.1", port: 56324 } as const;
const SERVICE = { transport: "tcp", hostname: "203.0.113.7", port: 443 } as const;
const OF_CLIENT = { source: CLIENT, destination: SERVICE };
const FORMS: readonly ProxyHeaderOptions[] = [
  { version: 1, ...OF_CLIENT },
  OF_CLIENT,
  { ...OF_CLIENT, authority: "example.org", tls: { protocol: "TLSv1.3" }, checksum: true },
];

/** Our server, which says whom it sees, and notes their proxies. */
interface Ours {
  readonly port: number;
  readonly proxies: ProxyInfo[];
  readonly errors: NetpollError[];
}

function describe({ remoteAddress, localAddress }: Connection): string {
  return [remoteAddress, localAddress].map((end) => {
    return end.transport === "unix" ? end.path : `${end.hostname}:${end.port}`;
  }).join(" ");
}

async function withOurs(call: (ours: Ours) => Promise<void>): Promise<void> {
  const proxies: ProxyInfo[] = [];
  const errors: NetpollError[] = [];
  const loop = new EventLoop(async (connection) => {
    const { reader, writer } = connection;
    reader.skip(reader.length);
    writer.writeString(describe(connection) + "\n");
    await writer.flush();
    reader.release();
  }, {
    onConnect: ({ proxy }) => {
      proxies.push(proxy!);
      return undefined;
    },
    onHandshakeError: (error) => void errors.push(error),
  });
  const listener = createListener("127.0.0.1:0", { proxyProtocol: { trusted: ["127.0.0.0/8"] } });
  const served = loop.serve(listener);
  const { address } = listener;
  try {
    await call({ port: address.transport === "tcp" ? address.port : 0, proxies, errors });
  } finally {
    await loop.shutdown({ timeoutMs: 0 });
    await served;
  }
}

function haproxy(bind: string, to: number, server: string, more = ""): string {
  return `global
  log stderr format raw local0 emerg
defaults
  mode tcp
  timeout connect 10s
  timeout client 30s
  timeout server 30s
listen it
  ${bind}
  ${more}
  server one 127.0.0.1:${to} ${server}
`;
}

function nginx(folder: string, server: string): string {
  return `${nginxHead(folder)} stream { server { ${server} } }`;
}

/** A line that comes when something was sent, and who asked. */
async function ask(connection: Connection): Promise<[line: string, asker: string]> {
  await send(connection, "who\n");
  const end = await connection.reader.waitUntil(10);
  const line = connection.reader.readString(end).trim();
  const { localAddress } = connection;
  assert(localAddress.transport === "tcp");
  return [line, `${localAddress.hostname}:${localAddress.port}`];
}

const ALL = "proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn,ssl-cipher,cert-sig,cert-key";
const SENDERS = ["send-proxy", "send-proxy-v2", `send-proxy-v2 ${ALL}`];

test("HAProxy tells us its clients, in each version", { skip: NO_HAPROXY }, async () => {
  for (const sender of SENDERS) {
    await withOurs((ours) => {
      const unique = sender.includes("unique-id") ? "unique-id-format %ci-%cp" : "";
      const configure = (port: number) =>
        haproxy(`bind 127.0.0.1:${port}`, ours.port, sender, unique);
      return withProxy("haproxy", configure, async (port) => {
        for (let n = 0; n < 20; n++) {
          await using connection = await dial(`127.0.0.1:${port}`);
          const [line, asker] = await ask(connection);
          assertEquals(line, `${asker} 127.0.0.1:${port}`, sender);
        }
        assertEquals(ours.errors.length, 0);
        const proxy = ours.proxies.at(-1)!;
        assertEquals(proxy.version, sender === "send-proxy" ? 1 : 2);
        if (unique !== "") {
          assertEquals(new TextDecoder().decode(proxy.uniqueId!).startsWith("127.0.0.1-"), true);
          assert(proxy.values.some(({ type }) => type === 3), "a checksum was verified");
        }
      });
    });
  }
});

test("HAProxy tells us of a client's TLS and of its certificate", {
  skip: NO_HAPROXY || NO_TLS,
}, () =>
  withOurs((ours) => {
    const bind = (port: number, folder: string) =>
      `bind 127.0.0.1:${port} ssl crt ${folder}/server.pem ca-file ${folder}/ca.pem verify optional alpn echo`;
    const configure = (port: number, folder: string) =>
      haproxy(bind(port, folder), ours.port, `send-proxy-v2-ssl-cn ${ALL}`, "unique-id-format %ci");
    return withProxy("haproxy", configure, async (port) => {
      const tls = { authorities: authority().certificate, serverName: "localhost" };
      const identities = [{}, shown(identity("client"))];
      for (const own of identities) {
        await using connection = await dial(`127.0.0.1:${port}`, {
          tls: { ...tls, ...own, alpnProtocols: ["echo"] },
        });
        const [line, asker] = await ask(connection);
        assertEquals(line, `${asker} 127.0.0.1:${port}`);
      }
      const [without, shownOne] = ours.proxies.slice(-2);
      assertEquals(without!.tls!.isVerified, false);
      assertEquals([without!.authority, without!.tls!.protocol], ["localhost", "TLSv1.3"]);
      const { isVerified, commonName, cipher, keyAlgorithm } = shownOne!.tls!;
      assertEquals([isVerified, commonName === null, cipher === null], [true, false, false]);
      assert(keyAlgorithm !== null);
      assertEquals(ours.errors, []);
    });
  }));

test("HAProxy's health checks are its own connections", { skip: NO_HAPROXY }, async () => {
  for (const sender of SENDERS.slice(0, 2)) {
    await withOurs((ours) => {
      const configure = (port: number) =>
        haproxy(`bind 127.0.0.1:${port}`, ours.port, `${sender} check inter 50ms`);
      return withProxy("haproxy", configure, async (port) => {
        const isOwn = ({ command, source, peer }: ProxyInfo) =>
          command === "LOCAL" || JSON.stringify(source) === JSON.stringify(peer);
        // Among them are those that looked whether HAProxy listens.
        await until(() => ours.proxies.filter(isOwn).length > 2, "checks come");
        const commands = new Set(ours.proxies.filter(isOwn).map(({ command }) => command));
        assertEquals([...commands], [sender === "send-proxy" ? "PROXY" : "LOCAL"]);
        await using connection = await dial(`127.0.0.1:${port}`);
        const [line, asker] = await ask(connection);
        assertEquals(line.startsWith(asker), true);
      });
    });
  }
});

test("HAProxy reads the headers of dial(), and passes them on", { skip: NO_HAPROXY }, async () => {
  await withOurs((ours) => {
    const configure = (port: number) =>
      haproxy(`bind 127.0.0.1:${port} accept-proxy`, ours.port, "send-proxy-v2");
    return withProxy("haproxy", configure, async (port) => {
      for (const proxyProtocol of FORMS) {
        await using connection = await dial(`127.0.0.1:${port}`, { proxyProtocol });
        assertEquals((await ask(connection))[0], "192.0.2.1:56324 203.0.113.7:443");
      }
      await using own = await dial(`127.0.0.1:${port}`, { proxyProtocol: true });
      const [line, asker] = await ask(own);
      assertEquals(line, `${asker} 127.0.0.1:${port}`);
    });
  });
});

test("nginx tells us its clients", { skip: NO_NGINX }, () =>
  withOurs((ours) => {
    const configure = (port: number, folder: string) =>
      nginx(
        folder,
        `listen 127.0.0.1:${port}; proxy_protocol on; proxy_pass 127.0.0.1:${ours.port};`,
      );
    return withProxy("nginx", configure, async (port) => {
      for (let n = 0; n < 20; n++) {
        await using connection = await dial(`127.0.0.1:${port}`);
        const [line, asker] = await ask(connection);
        assertEquals(line, `${asker} 127.0.0.1:${port}`);
      }
      assertEquals(ours.errors, []);
    });
  }));

test("nginx reads the headers of dial()", { skip: NO_NGINX }, () => {
  const ends = ["addr", "port", "server_addr", "server_port"]
    .map((name) => `$proxy_protocol_${name}`).join(" ");
  const configure = (port: number, folder: string) =>
    nginx(folder, `listen 127.0.0.1:${port} proxy_protocol; return "${ends}\\n";`);
  return withProxy("nginx", configure, async (port) => {
    for (const proxyProtocol of FORMS) {
      await using connection = await dial(`127.0.0.1:${port}`, { proxyProtocol });
      const end = await connection.reader.waitUntil(10);
      const line = connection.reader.readString(end).trim();
      assertEquals(line, "192.0.2.1 56324 203.0.113.7 443");
    }
  });
});

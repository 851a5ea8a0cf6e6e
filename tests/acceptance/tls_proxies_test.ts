/**
 * nginx, HAProxy and stunnel before our servers, whose TLS they verify, and behind our clients.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { type Connection, dial, pipe, type TlsClientOptions, type TlsError } from "../../mod.ts";
import { portOf, withExample } from "../support/example.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { shown } from "../support/outside.ts";
import { nginxHead, type ProxyName, withProxy } from "../support/outside_proxy.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { serve } from "../support/serve.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const BODY_BYTES = 1_000_003;
const TEXT = "Hello, World!";

/** A proxy: the lines of its configuration for what it dials and how it listens. */
interface Proxy {
  readonly name: ProxyName;
  /** Listens without TLS, and dials a server whose certificate it verifies; shows its own. */
  before(port: number, to: number, folder: string, host?: string): string;
  /** Listens with TLS, wants certificates of clients, and dials without. */
  behind(port: number, to: number, folder: string): string;
}

const nginx: Proxy = {
  name: "nginx",
  before: (port, to, folder, host = "localhost") =>
    `${nginxHead(folder)} http { access_log off; ${nginxPaths(folder)} client_max_body_size 0;
  upstream ours { server 127.0.0.1:${to}; keepalive 8; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass https://ours; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_set_header Host localhost;
    proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name ${host};
    proxy_ssl_server_name on; proxy_ssl_certificate client.pem;
    proxy_ssl_certificate_key client.pem; } } }`,
  behind: (port, to, folder) =>
    `${nginxHead(folder)} stream { server { listen 127.0.0.1:${port} ssl;
  ssl_certificate server.pem; ssl_certificate_key server.pem; ssl_verify_client on;
  ssl_client_certificate ca.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:a:1m;
  proxy_half_close on; proxy_pass 127.0.0.1:${to}; } }`,
};

/** The folders of bodies that nginx keeps: the whole list, or it wants its own. */
function nginxPaths(folder: string): string {
  return ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
}

const HAPROXY = `global
  log stderr format raw local0 warning
defaults
  timeout connect 10s
  timeout client 30s
  timeout server 30s
`;

const haproxy: Proxy = {
  name: "haproxy",
  before: (port, to, folder, host = "localhost") =>
    `${HAPROXY}
listen ours
  mode http
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${to} ssl verify required ca-file ${folder}/ca.pem verifyhost ${host} ` +
    `sni str(${host}) crt ${folder}/client.pem alpn http/1.1
`,
  behind: (port, to, folder) =>
    `${HAPROXY}
listen theirs
  mode tcp
  bind 127.0.0.1:${port} ssl crt ${folder}/server.pem ca-file ${folder}/ca.pem verify required
  server one 127.0.0.1:${to}
`,
};

const STUNNEL = "foreground = yes\npid =\nsyslog = no\ndebug = warning\n[service]\n";

const stunnel: Proxy = {
  name: "stunnel",
  before: (port, to, folder, host = "localhost") =>
    `${STUNNEL}client = yes
accept = 127.0.0.1:${port}
connect = 127.0.0.1:${to}
verifyChain = yes
checkHost = ${host}
sni = ${host}
CAfile = ${folder}/ca.pem
cert = ${folder}/client.pem
`,
  behind: (port, to, folder) =>
    `${STUNNEL}accept = 127.0.0.1:${port}
connect = 127.0.0.1:${to}
cert = ${folder}/server.pem
CAfile = ${folder}/ca.pem
verifyChain = yes
`,
};

const PROXIES = [nginx, haproxy, stunnel];

function lacking(proxy: Proxy, ...programs: string[]): string | false {
  return NO_TLS || lacks(proxy.name, ...programs);
}

const CURL = ["-sS", "--max-time", "20"];

for (const proxy of PROXIES) {
  test(`${proxy.name} before examples/http_server.ts verifies it, and passes all on`, {
    skip: lacking(proxy, "curl", "h2load"),
  }, async () => {
    const { keyFile, certificateFile } = identity("server");
    const args = [keyFile, certificateFile, authority().certificateFile];
    const options = { args, timeoutMs: 5 * TOOL_MS_MAX };
    const ended = await withExample("examples/http_server.ts", "127.0.0.1:0", (at) => {
      const to = portOf(at);
      return withProxy(
        proxy.name,
        (port, folder) => proxy.before(port, to, folder),
        async (port) => {
          const url = `http://127.0.0.1:${port}`;
          const curl = (...more: string[]) => runTool("curl", [...CURL, ...more]);
          assertEquals((await curl(`${url}/`, `${url}/count?to=3`)).stdout, `${TEXT}1\n2\n3\n`);
          await withDirectory(async (directory) => {
            const bytes = randomBytes(BODY_BYTES);
            writeFileSync(`${directory}/body`, bytes);
            const { stdout } = await curl("-T", `${directory}/body`, `${url}/digest`);
            const sha256 = createHash("sha256").update(bytes).digest("hex");
            assertEquals(JSON.parse(stdout), { bytes: BODY_BYTES, sha256 });
          });
          const total = 500 * SCALE;
          const load = ["--h1", "-n", `${total}`, "-c", "20", `${url}/`];
          const { stdout } = await runTool("h2load", load);
          assertMatch(stdout, new RegExp(`status codes: ${total} 2xx, 0 3xx, 0 4xx, 0 5xx`));
        },
      );
    }, options);
    assertEquals(ended, { code: 0, signal: null, stderr: "" });
  });

  test(`${proxy.name} before our server refuses it under another name`, {
    skip: lacking(proxy, "curl"),
  }, () =>
    leaks(async () => {
      const heard: string[] = [];
      await using server = serveSecure(echoBack, {}, {
        onConnect: () => void heard.push("a connection"),
        onHandshakeError: (error) => heard.push((error as TlsError).reason),
      });
      const to = server.port;
      const configure = (port: number, folder: string) =>
        proxy.before(port, to, folder, "other.example.org");
      await withProxy(proxy.name, configure, async (port) => {
        const args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", `http://127.0.0.1:${port}/`];
        const { stdout } = await runTool("sh", ["-c", 'curl "$@" || true', "curl", ...args]);
        assert(["000", "502", "503"].includes(stdout), stdout);
      });
      // In TLS 1.3 some end the connection behind the handshake.
      assert(heard.length > 0 && heard.every((each) => each !== "timeout"), heard.join(", "));
    }));

  test(`${proxy.name} behind our clients takes their certificates, and passes all on`, {
    skip: lacking(proxy),
  }, () =>
    leaks(async () => {
      const { loop, listener, served } = serve(echoBack);
      const { address } = listener;
      const to = address.transport === "tcp" ? address.port : 0;
      await withProxy(
        proxy.name,
        (port, folder) => proxy.behind(port, to, folder),
        async (port) => {
          const trust = { authorities: authority().certificate };
          for (const versionMax of ["1.2", "1.3"] as const) {
            const tls = { ...trust, ...shown(identity("client")), versionMax };
            for (const isResumed of [false, true, true]) {
              const client = await connect(port, tls);
              await echoes(client);
              assertEquals(client.tls!.isResumed, isResumed);
              assertEquals(client.tls!.protocol, `TLSv${versionMax}`);
              await client.close();
            }
            const refused = connect(port, { ...trust, versionMax }).then((client) =>
              client.reader.wait(1).finally(() => client.close())
            );
            const error = await refused.catch((error) => error);
            assert((error.cause ?? error) instanceof Error, `${error}`);
          }
          await throughOurs(port, { ...trust, ...shown(identity("client")) });
        },
      );
      await loop.shutdown();
      await served;
    }));
}

function connect(port: number, tls: TlsClientOptions): Promise<Connection> {
  return dial("tcp", `localhost:${port}`, { tls, timeoutMs: 10_000 });
}

/** Sends more than any buffer takes, and compares what comes back. */
async function echoes(client: Connection): Promise<void> {
  const bytes = randomBytes(BODY_BYTES);
  client.writer.writeBinary(bytes);
  const [back] = await Promise.all([readAll(client, BODY_BYTES), client.writer.flush()]);
  assertEquals(back, createHash("sha256").update(bytes).digest("hex"));
}

async function readAll({ reader }: Connection, count: number): Promise<string> {
  const hash = createHash("sha256");
  for (let left = count; left > 0;) {
    await reader.wait(1);
    const length = Math.min(left, reader.length);
    hash.update(reader.next(length));
    reader.release();
    left -= length;
  }
  return hash.digest("hex");
}

/** A proxy of ours before theirs: whoever asks without TLS is passed on with it. */
async function throughOurs(port: number, tls: TlsClientOptions): Promise<void> {
  const { loop, listener, served } = serve(null, {
    onConnect: async (client) => {
      await pipe(client, await connect(port, tls));
      return undefined;
    },
  });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  await echoes(client);
  await send(client, "the end");
  await client.closeWrite();
  assertEquals(await receive(client, 7), "the end");
  await client.close();
  await loop.shutdown();
  await served;
}

/**
 * examples/socks5_proxy.ts between clients and servers that others wrote.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { freePort } from "../../bench/harness/child.ts";
import { portOf, withExample } from "../support/example.ts";
import { root } from "../support/library.ts";
import { run } from "../support/child.ts";
import { lacks, lacksModule, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const FILE = "examples/socks5_proxy.ts";
const BODY = randomBytes(5_000_000 * SCALE);
const SHA256 = createHash("sha256").update(BODY).digest("hex");

/** Runs the proxy while it calls. Nothing may have gone wrong in it. */
async function withProxy(args: string[], call: (port: number) => Promise<void>): Promise<void> {
  const options = { args, timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample(FILE, "127.0.0.1:0", (at) => call(portOf(at)), options);
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

/** A server of HTTP: it sends a body, and answers one with its length. */
async function withHttp(call: (port: number) => Promise<void>): Promise<void> {
  const server = createServer(async (request, response) => {
    let count = 0;
    for await (const piece of request) count += piece.length;
    response.end(request.method === "PUT" ? `${count}` : BODY);
  });
  const port = await listening(server);
  try {
    await call(port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Runs a program, however it ends. */
async function outcome(program: string, ...args: string[]): Promise<[number | null, string]> {
  const command = { argv: [program, ...args], cwd: root, timeoutMs: TOOL_MS_MAX };
  const { code, stderr } = await new Program(command).ended;
  return [code, stderr];
}

for (const way of ["--socks5", "--socks5-hostname"]) {
  test(`curl ${way} gets and sends through the proxy, by name and by address`, {
    skip: lacks("curl"),
  }, () =>
    withHttp((server) =>
      withProxy([], async (port) => {
        const at = ["-sS", "--max-time", "40", way, `127.0.0.1:${port}`];
        for (const host of ["127.0.0.1", "localhost"]) {
          const pipe = ["curl", ...at, `http://${host}:${server}/`, "|", "sha256sum"].join(" ");
          const { stdout } = await runTool("sh", ["-c", pipe]);
          assertEquals(stdout, `${SHA256}  -\n`);
          const put = await runTool("curl", [
            ...at,
            "-T",
            "README.md",
            `http://${host}:${server}/`,
          ]);
          assert(Number(put.stdout) > 1000);
        }
      })
    ));
}

test("curl is told why it does not get there", { skip: lacks("curl") }, async () => {
  const nobody = await freePort();
  await withProxy(["--allow", "127.0.0.1"], async (port) => {
    const at = ["-sS", "--max-time", "40", "--socks5-hostname", `127.0.0.1:${port}`];
    const replies = {
      [`http://127.0.0.1:${nobody}/`]: 5, // refused
      "http://nowhere.invalid/": 4, // host unreachable
      "http://127.0.0.2/": 2, // not allowed
      "http://[::1]/": 2,
    };
    for (const [url, reply] of Object.entries(replies)) {
      const [code, told] = await outcome("curl", ...at, url);
      assertEquals(code, 97, told);
      assertMatch(told, new RegExp(`Can't complete SOCKS5 connection .*\\(${reply}\\)`));
    }
  });
});

test(
  "curl comes in with the right password alone",
  { skip: lacks("curl") },
  () =>
    withHttp((server) =>
      withProxy(["--user", "me:right"], async (port) => {
        const url = `http://127.0.0.1:${server}/`;
        const by = (login: string) =>
          outcome(
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-x",
            `socks5h://${login}127.0.0.1:${port}`,
            url,
          );
        assertEquals(await by("me:right@"), [0, ""]);
        assertEquals((await by("me:wrong@"))[0], 97);
        assertEquals((await by(""))[0], 97);
      })
    ),
);

test("nc -X 5 ends its side, and still gets all that the server says then", {
  skip: lacks("sh", "nc"),
}, async () => {
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    let count = 0;
    socket.on("data", (piece) => count += piece.length);
    socket.on("end", () => socket.end(`${count} bytes came\n`));
  });
  const to = await listening(server);
  try {
    await withProxy([], async (port) => {
      const nc = `nc -N -X 5 -x 127.0.0.1:${port} 127.0.0.1 ${to}`;
      const { stdout } = await runTool("sh", ["-c", `head -c 3000000 /dev/zero | ${nc}`]);
      assertEquals(stdout, "3000000 bytes came\n");
    });
  } finally {
    server.close();
  }
});

const PYTHON = `
import socks, sys
proxy, server = int(sys.argv[1]), int(sys.argv[2])
def ask(host, rdns, user=None, password=None):
    with socks.socksocket() as socket:
        socket.settimeout(20)
        socket.set_proxy(socks.SOCKS5, "127.0.0.1", proxy, rdns, user, password)
        socket.connect((host, server))
        socket.sendall(b"PUT / HTTP/1.0\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
        return socket.makefile("rb").read().rpartition(b"\\r\\n\\r\\n")[2]
print(ask("127.0.0.1", False), ask("localhost", True), ask("localhost", True, "any", "body"))
`;

test("python3-socks gets through the proxy", {
  skip: lacksModule("/usr/bin/python3", "socks"),
}, () =>
  withHttp((server) =>
    withProxy([], async (port) => {
      const { stdout } = await runTool("/usr/bin/python3", ["-c", PYTHON, `${port}`, `${server}`]);
      assertEquals(stdout, "b'5' b'5' b'5'\n");
    })
  ));

test("a client that says too little, or nothing, holds up nobody and is heard no more at the end", {
  skip: lacks("curl"),
}, () =>
  withHttp((server) =>
    withProxy([], async (port) => {
      const idle: Socket[] = ["", "\x05", "\x05\xff", "\x05\x01\x00\x05\x01\x00\x03\xff"].map((
        text,
      ) =>
        connect(port, "127.0.0.1").on("error", () => {}).setDefaultEncoding("latin1")
          .on("connect", function (this: Socket) {
            this.write(text);
          })
      );
      await Promise.all(idle.map((socket) => once(socket, "connect")));
      const { stdout } = await runTool("curl", [
        ...["-sS", "-o", "/dev/null", "-w", "%{http_code}"],
        ...["--socks5", `127.0.0.1:${port}`, `http://127.0.0.1:${server}/`],
      ]);
      assertEquals(stdout, "200");
      for (const socket of idle) socket.destroy();
    })
  ));

test("the proxy serves no strangers without a password", async () => {
  for (const at of ["0.0.0.0:0", ":0"]) {
    const { code, stderr } = await run(FILE, { args: [at] });
    assertEquals(code, 2);
    assertMatch(stderr, /^Cannot serve \S+ to everybody: add --user NAME:PASSWORD.*\n$/);
  }
  const { code, stderr } = await run(FILE, { args: ["--allow", "here", "127.0.0.1:0"] });
  assertEquals([code, stderr], [2, 'Cannot use the network "here": write "10.0.0.0/8" or "::1"\n']);
});

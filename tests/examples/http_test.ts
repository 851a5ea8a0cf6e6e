import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { type Answer, http, type HttpLimits } from "../../examples/http/service.ts";
import { Fields } from "../../examples/http/head.ts";
import type { EventLoopOptions, TcpAddress } from "../../mod.ts";
import { serve } from "../support/serve.ts";
import { until } from "../support/until.ts";

const TEXT = new Fields({ "Content-Type": "text/plain" });

/** Answers with what was asked, and how long the body was. */
const report: Answer = ({ method, path, body, bodyBytes }, response) => {
  if (bodyBytes === 0) return response.send(200, TEXT, `${method} ${path}`);
  return body.bytes().then((all) => response.send(200, TEXT, `${method} ${path} ${all.length}`));
};

/** Serves while it calls; then shuts down. What went wrong that was no client's fault. */
async function withHttp(
  answer: Answer,
  call: (port: number) => Promise<void>,
  limits: HttpLimits = {},
  options: EventLoopOptions = {},
): Promise<string[]> {
  const errors: string[] = [];
  const onError = (error: unknown) => errors.push((error as Error).message);
  const { loop, listener, served } = serve(http(answer, limits), { onError, ...options });
  try {
    await call((listener.address as TcpAddress).port);
  } finally {
    await loop.shutdown({ timeoutMs: 5000 });
    await served;
  }
  return errors;
}

/** Returns all that a server sends, to a client that has ended its side. */
async function allOf(socket: Socket): Promise<string> {
  const received: Buffer[] = [];
  for await (const chunk of socket) received.push(chunk);
  return Buffer.concat(received).toString("latin1");
}

/** Sends bytes and ends: everything that is answered. */
function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(text, "latin1");
  return allOf(socket);
}

/** The statuses of the answers in a text, none of which has a body that looks like one. */
function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => Number(match[1]));
}

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

test("http() answers pipelined requests in order, whichever waits for its body", () =>
  withHttp(report, async (port) => {
    const post = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`;
    const all = await ask(port, GET.repeat(300) + post("/a") + GET + CHUNKED + "0\r\n\r\n" + GET);
    const bodies = all.split(/HTTP\/1\.1 200 OK\r\n(?:.+\r\n)+\r\n/).slice(1);
    assertEquals(bodies, [...Array(300).fill("GET /"), "POST /a 3", "GET /", "POST / 0", "GET /"]);
  }).then((errors) => assertEquals(errors, [])));

test("http() answers requests that come a byte at a time", () =>
  withHttp(report, async (port) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const received = allOf(socket);
    for (const byte of `${CHUNKED}3;a=b\r\nabc\r\n00\r\nA: b\r\n\r\n${GET}`) {
      await new Promise<void>((resolve) => socket.write(byte, () => resolve()));
    }
    socket.end();
    assertMatch(await received, /\r\n\r\nPOST \/ 3HTTP\/1\.1 200 (.+\r\n)+\r\nGET \/$/);
  }).then((errors) => assertEquals(errors, [])));

test("http() answers what is there before it waits for the rest of the next request", () =>
  withHttp(report, async (port) => {
    const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na";
    for (
      const [part, rest] of [[GET.slice(0, 9), GET.slice(9)], [post, "bc"], [CHUNKED, "0\r\n\r\n"]]
    ) {
      const socket = connect(port, "127.0.0.1");
      let received = "";
      socket.setEncoding("latin1").on("data", (text) => received += text);
      socket.write(GET + GET + part!);
      await until(() => statusesOf(received).length === 2, "two answers");
      socket.end(rest!);
      await once(socket, "end");
      assertEquals(statusesOf(received), [200, 200, 200]);
    }
  }).then((errors) => assertEquals(errors, [])));

/** Requests that must reach no handler: another server may see another request in them. */
type Refusal = readonly [what: string, status: number, text: string];

const REFUSED: readonly Refusal[] = [
  [
    "a length and a coding",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "a coding and a length",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
  ],
  [
    "two lengths",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
  ],
  [
    "the same length twice",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
  ],
  ["a list of lengths", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"],
  ["a negative length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n"],
  ["a length with a sign", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"],
  ["a hexadecimal length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc"],
  [
    "a length with another space",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xa03\r\n\r\nabc",
  ],
  ["no length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"],
  [
    "two codings",
    400,
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "another coding",
    501,
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "a coding that looks like one",
    501,
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "a coding in HTTP/1.0",
    400,
    "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["a space before a colon", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc"],
  ["a bare LF behind a field", 400, "GET / HTTP/1.1\r\nHost: x\nContent-Length: 3\r\n\r\n"],
  ["a bare LF behind the first line", 400, "GET / HTTP/1.1\nHost: x\r\n\r\n"],
  ["a bare CR in a field", 400, "GET / HTTP/1.1\r\nHost: x\rContent-Length: 3\r\n\r\n"],
  ["a folded field", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"],
  ["a line before the first field", 400, "GET / HTTP/1.1\r\n Host: x\r\n\r\n"],
  ["a NUL in a field", 400, "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n"],
  ["a field without a name", 400, "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"],
  ["no host", 400, "GET / HTTP/1.1\r\n\r\n"],
  ["two hosts", 400, "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"],
  ...["a b", "a/b", "a, b", "u@a", "a:x", "a:1:2", "[::1", "a%zz", "a?b", '"a"', "é"].map((
    host,
  ): Refusal => [`the host ${host}`, 400, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
  ...["u@a", "u:p@a", "a:x", "[::g]", "[::1", "a%zz", ":80", "a\\b"].map((host): Refusal => [
    `the host ${host} in the target`,
    400,
    `GET http://${host}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
  ]),
  ["* of another method than OPTIONS", 400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a tunnel", 501, "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a fragment", 400, "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["no path", 400, "GET x HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a space in the path", 400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["two spaces", 400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["HTTP/0.9", 400, "GET /\r\n\r\n"],
  ["HTTP/2", 505, "PRI * HTTP/2.0\r\nHost: x\r\n\r\n"],
  ["two empty lines", 400, "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  [
    "another expectation",
    417,
    "POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 1\r\n\r\na",
  ],
  ["a chunk without a length", 400, `${CHUNKED}\r\nabc\r\n0\r\n\r\n`],
  ["a chunk with a sign", 400, `${CHUNKED}+3\r\nabc\r\n0\r\n\r\n`],
  ["a chunk with 0x", 400, `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`],
  ["a chunk with a bare LF", 400, `${CHUNKED}3\nabc\r\n0\r\n\r\n`],
  ["a chunk that is longer than it says", 400, `${CHUNKED}2\r\nabc\r\n0\r\n\r\n`],
  ["a bare LF behind a chunk", 400, `${CHUNKED}3\r\nabc\n0\r\n\r\n`],
  ["a bare LF in an extension", 400, `${CHUNKED}3;a\nb\r\nabc\r\n0\r\n\r\n`],
  ["an extension without a name", 400, `${CHUNKED}3;\r\nabc\r\n0\r\n\r\n`],
  ["an extension with a space in its value", 400, `${CHUNKED}3;a=b c\r\nabc\r\n0\r\n\r\n`],
  ["an extension whose quote has no end", 400, `${CHUNKED}3;a="b\r\nabc\r\n0\r\n\r\n`],
  ["an extension without an end", 400, `${CHUNKED}3;${"a".repeat(2000)}`],
  ["a trailer that is no field", 400, `${CHUNKED}0\r\nGET / HTTP/1.1\r\n\r\n`],
  ["too many trailers", 431, `${CHUNKED}0\r\n${"A: b\r\n".repeat(50)}\r\n`],
];

test("http() refuses what two servers could read in two ways, and nothing behind it is answered", () =>
  withHttp(report, async (port) => {
    for (const [what, status, text] of REFUSED) {
      const all = await ask(port, `${text}${GET}`);
      assertEquals(statusesOf(all), [status], what);
      assertMatch(all, /^(?:.+\r\n)*Connection: close\r\n/, what);
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() counts octets in a refusal that quotes the client", () =>
  withHttp(report, async (port) => {
    for (const field of ["Transfer-Encoding: \xe9\xe9\xe9", "Expect: \xe9"]) {
      const all = await ask(port, `GET / HTTP/1.1\r\nHost: x\r\n${field}\r\n\r\n`);
      const [head, body] = all.split("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/.exec(head!)![1]);
      assertEquals(length, body!.length, field); // read as latin1: a character an octet
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() takes what is unusual and means one thing", () =>
  withHttp(report, async (port) => {
    const heads: readonly (readonly [string, string])[] = [
      ["\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /"],
      ["GET http://x/a?b HTTP/1.1\r\nhOST:x\r\n\r\n", "GET /a"],
      ["GET http://x HTTP/1.1\r\nHost: \t x\t \r\n\r\n", "GET /"],
      ["GET HTTPS://[::1]:80?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /"],
      ["OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "OPTIONS *"],
      ["M-SEARCH /?* HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n", "M-SEARCH /"],
      ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 003 \r\n\r\nabc", "POST / 3"],
      ...["x:", "x:80", "[::1]:80", "a%2db", "a_b.c~d", "127.0.0.1", "*", "a,b"].map((host) =>
        [`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, "GET /"] as const
      ),
      [`${CHUNKED}3;a;b=c ; d="e;\\""\r\nabc\r\n0\r\n\r\n`, "POST / 3"],
      [`${CHUNKED}00A ;a="b"\r\n0123456789\r\n000\r\n\r\n`, "POST / 10"],
    ];
    for (const [head, answer] of heads) {
      const all = await ask(port, head + GET);
      const [, first, second] = all.split(/HTTP\/1\.1 200 OK\r\n(?:.+\r\n)+\r\n/);
      assertEquals([first, second], [answer, "GET /"]);
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() closes for HTTP/1.0, for Connection: close, and keeps what asks to be kept", () =>
  withHttp(report, async (port) => {
    const both = (first: string) => ask(port, `${first}\r\n\r\n${GET}`);
    const old = await both("GET / HTTP/1.0");
    assertEquals(statusesOf(old), [200]);
    assertMatch(old, /\r\nConnection: close\r\n/);
    const closing = await both("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, Close");
    assertEquals(statusesOf(closing), [200]);
    const kept = await both("GET / HTTP/1.0\r\nConnection: Keep-Alive");
    assertEquals(statusesOf(kept), [200, 200]);
    assertMatch(kept, /^(?:.+\r\n)*Connection: keep-alive\r\n/);
    for (const between of [", ", "\r\nConnection: "]) {
      const torn = await both(`GET / HTTP/1.0\r\nConnection: close${between}keep-alive`);
      assertEquals(statusesOf(torn), [200]);
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() bounds heads, bodies and chunks, and says so to a client that goes on sending", () =>
  withHttp(report, async (port) => {
    const long = `A: ${"a".repeat(500)}\r\n`;
    const statusOf = async (text: string) => statusesOf(await ask(port, text));
    assertEquals(await statusOf(`GET / HTTP/1.1\r\nHost: x\r\n${long}\r\n`), [200]);
    assertEquals(await statusOf(`GET / HTTP/1.1\r\nHost: x\r\n${long}${long}\r\n${GET}`), [431]);
    assertEquals(await statusOf(`GET / HTTP/1.1\r\nHost: x\r\n${long.repeat(2000)}`), [431]);
    const path = "a".repeat(801);
    assertEquals(await statusOf(`GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n${GET}`), [414]);
    assertEquals(await statusOf(`GET /${path.repeat(2000)}`), [414]);
    const body = (count: number) =>
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${count}\r\n\r\n`;
    assertEquals(await statusOf(`${body(100)}${"a".repeat(100)}`), [200]);
    assertEquals(await statusOf(`${body(101)}${"a".repeat(101)}${GET}`), [413]);
    assertEquals(await statusOf(`${body(3_000_000)}${"a".repeat(3_000_000)}`), [413]);
    const chunk = `32\r\n${"a".repeat(50)}\r\n`;
    assertEquals(await statusOf(`${CHUNKED}${chunk}${chunk}0\r\n\r\n`), [200]);
    assertEquals(await statusOf(`${CHUNKED}${chunk}${chunk}1\r\na\r\n0\r\n\r\n`), [413]);
  }, { headBytesMax: 800, bodyBytesMax: 100 }).then((errors) => assertEquals(errors, [])));

test("http() answers 408 to a head and to a body that do not come", () =>
  withHttp(
    report,
    async (port) => {
      for (
        const text of ["GET / HTT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na"]
      ) {
        const socket = connect(port, "127.0.0.1");
        socket.write(text);
        assertEquals(statusesOf(await allOf(socket)), [408]);
      }
    },
    {},
    { readTimeoutMs: 50 },
  ).then((errors) => assertEquals(errors, [])));

test("http() lets go of a connection that is idle for too long", () =>
  withHttp(
    report,
    async (port) => {
      const socket = connect(port, "127.0.0.1");
      socket.write(GET);
      assertEquals(statusesOf(await allOf(socket)), [200]);
    },
    {},
    { idleTimeoutMs: 100 },
  ).then((errors) => assertEquals(errors, [])));

test("http() says 100 Continue when the body is read, and closes when it is not", () =>
  withHttp(({ path, body }, response) => {
    if (path === "/no") return response.send(403, TEXT);
    return body.bytes().then((all) => response.send(200, TEXT, `${all.length}`));
  }, async (port) => {
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`;
    const socket = connect(port, "127.0.0.1");
    let received = "";
    socket.setEncoding("latin1").on("data", (text) => received += text);
    socket.write(head("/"));
    await until(() => received === "HTTP/1.1 100 Continue\r\n\r\n", "an invitation");
    socket.write("abc");
    await until(() => received.endsWith("\r\n\r\n3"), "an answer");
    socket.write(head("/no"));
    await once(socket, "end");
    assertEquals(statusesOf(received), [100, 200, 403]);
    assertMatch(received, /403 Forbidden\r\n(?:.+\r\n)*Connection: close\r\n/);
    socket.destroy();
  }).then((errors) => assertEquals(errors, [])));

test("http() sends no length with 204, and goes on", () =>
  withHttp((_, response) => response.send(204, TEXT), async (port) => {
    const all = await ask(port, GET + GET);
    assertEquals(statusesOf(all), [204, 204]);
    assertEquals(/Content-Length|Transfer-Encoding|Connection/.test(all), false);
  }).then((errors) => assertEquals(errors, [])));

test("http() reads past a body that the answer did not want", () =>
  withHttp((_, response) => response.send(200, TEXT, "no"), async (port) => {
    const post = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${
      "a".repeat(100_000)
    }`;
    assertEquals(statusesOf(await ask(port, post + CHUNKED + "3\r\nabc\r\n0\r\n\r\n" + GET)), [
      200,
      200,
      200,
    ]);
  }).then((errors) => assertEquals(errors, [])));

test("http() closes behind an answer whose unwanted body is no body, and the answer arrives", () =>
  withHttp((_, response) => response.send(200, TEXT, "no"), async (port) => {
    assertEquals(statusesOf(await ask(port, `${CHUNKED}nonsense\r\n${GET.repeat(1000)}`)), [200]);
  }).then((errors) => assertEquals(errors, [])));

test("http() lets go of a client that ends within a head or a body, without an answer", () =>
  withHttp(report, async (port) => {
    const body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab";
    for (const text of ["", "GET / HTT", body, `${CHUNKED}3`, `${CHUNKED}3\r\nabc`]) {
      assertEquals(await ask(port, text), "");
      assertEquals(statusesOf(await ask(port, GET + text)), [200]);
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() resets when the client ends within a body of which a part was answered", () =>
  withHttp(async ({ body }, response) => {
    response.begin(200, TEXT);
    for await (const piece of body) {
      response.write(piece);
      await response.flush();
    }
  }, async (port) => {
    const cut = "Content-Length: 3\r\n\r\nab";
    for (const head of ["POST / HTTP/1.0\r\n", "POST / HTTP/1.1\r\nHost: x\r\n"]) {
      // A FIN would be the end of an answer to HTTP/1.0.
      await assertRejects(() => ask(port, head + cut), Error, "ECONNRESET");
    }
  }).then((errors) => assertEquals(errors, [])));

test("http() answers 500 when the answer fails, resets when it has begun, and tells onError", async () => {
  const errors = await withHttp(async ({ path }, response) => {
    if (path === "/none") return;
    if (path === "/begun") {
      response.begin(200, TEXT);
      response.write("a part");
      await response.flush();
    }
    throw new Error(`failed at ${path}`);
  }, async (port) => {
    assertEquals(statusesOf(await ask(port, `GET /first HTTP/1.1\r\nHost: x\r\n\r\n${GET}`)), [
      500,
    ]);
    assertEquals(statusesOf(await ask(port, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n")), [500]);
    const begun = await ask(port, "GET /begun HTTP/1.1\r\nHost: x\r\n\r\n").catch(String);
    assertMatch(begun, /ECONNRESET|reset/i);
  });
  assertEquals(errors, [
    "failed at /first",
    "Cannot go on: a request was not answered",
    "failed at /begun",
  ]);
});

test("http() sends chunks to HTTP/1.1, until the end to HTTP/1.0, and no body for HEAD", () =>
  withHttp((_, response) => {
    response.begin(200, TEXT);
    response.write("one");
    response.write("");
    response.write(new Uint8Array([0x32]));
  }, async (port) => {
    assertMatch(
      await ask(port, GET),
      /Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n1\r\n2\r\n0\r\n\r\n$/,
    );
    assertMatch(await ask(port, "GET / HTTP/1.0\r\n\r\n"), /Connection: close\r\n\r\none2$/);
    assertMatch(await ask(port, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), /chunked\r\n\r\n$/);
  }).then((errors) => assertEquals(errors, [])));

test("http() finishes what it has begun when its loop shuts down", async () => {
  const { promise: goOn, resolve: release } = Promise.withResolvers<void>();
  let isBegun = false;
  const answer: Answer = async (_, response) => {
    isBegun = true;
    await goOn;
    response.send(200, TEXT, "late");
  };
  const { loop, listener, served } = serve(http(answer));
  const { port } = listener.address as TcpAddress;
  const [busy, idle] = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  busy.write(GET);
  await until(() => isBegun && loop.connectionCount === 2, "a request and a connection");
  const down = loop.shutdown({ timeoutMs: 5000 });
  assertEquals(await allOf(idle), "");
  release();
  assertMatch(await allOf(busy), /\r\n\r\nlate$/);
  assertEquals(await down, { cut: 0 });
  await served;
});

test("field() joins fields of one name, whatever the case, and is null for none", () =>
  withHttp((request, response) => {
    const seen = ["accept", "COOKIE", "none"].map((name) => request.field(name));
    response.send(200, TEXT, JSON.stringify(seen));
  }, async (port) => {
    const head = "GET / HTTP/1.1\r\nHost: x\r\nAccept: a\r\ncookie:  b \r\nACCEPT: c\r\n\r\n";
    assertMatch(await ask(port, head), /\["a, c","b",null\]$/);
  }).then((errors) => assertEquals(errors, [])));

test("Fields() throws for what would be another line", () => {
  for (
    const [name, value] of [["A", "b\r\nC: d"], ["A", "b\n"], ["A", "\0"], ["A:", "b"], [
      "A\r\nC",
      "d",
    ]]
  ) {
    assertThrows(() => new Fields({ [name!]: value! }), TypeError);
  }
});

test("head() has the length that was asked for, whatever was asked for before", () => {
  const head = (status: number, count: number) => Buffer.from(TEXT.head(status, count)).toString();
  for (
    const [status, count] of [[200, 0], [200, 13], [200, 31], [404, 31], [200, 1234567], [200, 7]]
  ) {
    const [first, date, ...rest] = head(status!, count!).split("\r\n");
    assertEquals(first, `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Not Found"}`);
    assertMatch(date!, /^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/);
    assertEquals(rest, ["Content-Type: text/plain", `Content-Length: ${count}`, "", ""]);
  }
});

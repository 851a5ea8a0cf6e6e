/**
 * Every example that serves a protocol, at every split and at every loss: a bad line leads to it.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { type CaseRun, type Connection, dial, everyLoss, everySplit, pipe } from "../../mod.ts";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";

/** A server, what its client says before it ends its side, and all that it hears then. */
interface Row {
  file: string;
  args?: (directory: string) => string[];
  asks: string | ((port: number) => string);
  hears: RegExp;
}

const UPLOAD = "PUT /copy.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
const HTTP = "GET / HTTP/1.1\r\nHost: x\r\n\r\n" +
  "POST /digest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" +
  "PUT /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

const EXAMPLES: Readonly<Record<string, Row>> = {
  "echo_server.ts": { file: "echo_server.ts", asks: "x".repeat(512), hears: /^x{512}$/ },
  "http_server.ts": {
    file: "http_server.ts",
    asks: HTTP,
    hears:
      /^HTTP\/1\.1 200 [^]*\r\n\r\nHello, World!HTTP\/1\.1 200 [^]*"bytes":5[^]*HTTP\/1\.1 200 [^]*"bytes":2/,
  },
  "redis_server.ts": {
    file: "redis_server.ts",
    asks: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\nGET k\r\n*1\r\n$4\r\nPING\r\n",
    hears: /^\+OK\r\n\$5\r\nhello\r\n\+PONG\r\n$/,
  },
  "memcached_server.ts, text": {
    file: "memcached_server.ts",
    asks: "set k 0 0 5\r\nhello\r\nget k\r\nincr k 1\r\ndelete k\r\n",
    hears: /^STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\nCLIENT_ERROR [^\r]*\r\nDELETED\r\n$/,
  },
  "memcached_server.ts, binary": {
    file: "memcached_server.ts",
    asks: "\x80\x01\0\x01\x08\0\0\0\0\0\0\x0eabcd" + "\0".repeat(16) + "khello" +
      "\x80\x0a\0\0\0\0\0\0\0\0\0\0noop\0\0\0\0\0\0\0\0",
    hears: /^<81><01>(<00>){10}abcd[^]{8,32}<81>\n(<00>){10}noop(<..>){8}$/,
  },
  "mqtt_broker.ts": {
    file: "mqtt_broker.ts",
    asks: "\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a" + "\x82\x06\0\x01\0\x01t\x01" +
      "\x32\x07\0\x01t\0\x02hi" + "\xc0\0" + "\x40\x02\0\x01" + "\xe0\0",
    hears: /^ <02><00><00><90><03><00><01><01>[^]*<d0><00>/,
  },
  "socks5_proxy.ts, on the way to itself": {
    file: "socks5_proxy.ts",
    asks: (port) =>
      "\x05\x01\0\x05\x01\0\x01\x7f\0\0\x01" +
      String.fromCharCode(port >> 8, port & 0xff) + "\x05\x01\0",
    hears: /^<05><00><05><00><00><01><7f><00><00><01>[^]{2,8}<05><00>$/,
  },
  "rpc_server.ts": {
    file: "rpc_server.ts",
    asks: "\0\0\0\x07\0\0\0\x01\0hi\0\0\0\x07\0\0\0\x02\x09no",
    hears:
      /^<00><00><00><07><00><00><00><01><00>hi<00><00><00><19><00><00><00><02><01>There is no method 9$/,
  },
  "upload_server.ts": {
    file: "upload_server.ts",
    args: (directory) => [directory],
    asks: UPLOAD,
    hears:
      /^HTTP\/1\.1 201 Created\r\n[^]*2cf24dba5fb0a30e26e83b2ac5b9e29e[0-9a-f]{32} {2}copy.txt\n$/,
  },
  "file_server.ts": {
    file: "file_server.ts",
    args: (directory) => {
      writeFileSync(`${directory}/a.txt`, "all of it");
      return [directory];
    },
    asks: "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n",
    hears: /^HTTP\/1\.1 200 [^]*\r\n\r\nall of it$/,
  },
  "counter.ts": { file: "counter.ts", asks: "a\n\nbc\n", hears: /^\d+\n\d+\n\d+\n$/ },
  "chat.ts": { file: "chat.ts", asks: "hello\n\nall\n", hears: /^\* welcome\n/ },
};

async function allOf({ reader }: Connection): Promise<string> {
  let text = "";
  try {
    for (;;) {
      await reader.wait(1);
      text += reader.readString(reader.length, "latin1");
      reader.release();
    }
  } catch (error) {
    // An end in order has no cause.
    if ((error as Error).cause === undefined) return text;
    throw error;
  }
}

/** A text in which each character that cannot be printed is written as `<05>`. */
function printable(text: string): string {
  return text.replace(
    /[^\r\n -~]/g,
    (each) => `<${each.charCodeAt(0).toString(16).padStart(2, "0")}>`,
  );
}

/** Leads the second connection of a case to a server. */
async function lead(second: Connection, port: number): Promise<void> {
  const server = await dial("tcp", `127.0.0.1:${port}`);
  await pipe(second, server).catch(() => {});
  await server.close();
}

function session({ asks, hears }: Row, port: number, isWhole: () => boolean): CaseRun {
  return async (client, second) => {
    const leading = lead(second, port);
    try {
      const text = typeof asks === "string" ? asks : asks(port);
      for (let i = 0; i < text.length; i++) client.writer.writeUint8(text.charCodeAt(i));
      await client.writer.flush();
      await client.closeWrite();
      const heard = await allOf(client);
      if (isWhole()) assertMatch(printable(heard), hears);
    } finally {
      client.reset();
      await leading;
    }
  };
}

for (const [name, row] of Object.entries(EXAMPLES)) {
  test(`examples/${name} answers the same however the bytes are cut, and survives every loss`, () =>
    withDirectory(async (directory) => {
      const args = row.args?.(directory);
      const ended = await withExample(`examples/${row.file}`, "localhost:0", async (at) => {
        const port = portOf(at);
        const options = { outsideMs: 4000, casesMax: 250 };
        const split = await everySplit(session(row, port, () => true), options);
        assert(split.cases > 200 || split.skipped === 0, `${split.cases} cases`);
        let isFirst = true;
        const isWhole = () => isFirst && !(isFirst = false);
        await everyLoss(session(row, port, isWhole), { ...options, casesMax: 500 });
        await everySplit(session(row, port, () => true), { ...options, casesMax: 1 });
      }, { args, timeoutMs: 60_000 });
      assertEquals([ended.code, ended.signal], [0, null]);
      assert(
        !/TypeError|RangeError|AssertionError|ReferenceError/.test(ended.stderr),
        ended.stderr,
      );
    }));
}

/**
 * examples/socks5/: the handshake at every split, and where clients may go.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { allowance, connectTo } from "../../examples/socks5/destination.ts";
import { hear, Reply, SocksError, writeReply } from "../../examples/socks5/handshake.ts";
import { type Connection, EofError, everySplit, LinkBuffer, memoryPair } from "../../mod.ts";

const LOGIN = { name: "me", password: "sésame" };
const HANDSHAKE_MS_MAX = 20_000;

/** All that comes until the other side ends. */
async function readAll({ reader }: Connection): Promise<string> {
  for (;;) {
    try {
      await reader.wait(reader.length + 1);
    } catch (error) {
      if (!(error instanceof EofError)) throw error;
      return reader.readString(reader.length, "latin1");
    }
  }
}

/** The destination that a proxy hears of a client that says this and ends its side, and its answer. */
async function heardOn(
  client: Connection,
  proxy: Connection,
  bytes: Uint8Array,
  login: typeof LOGIN | null,
) {
  const hearing = hear(proxy, login, AbortSignal.timeout(HANDSHAKE_MS_MAX)).then(
    ({ host, port }) => `${host} ${port}`,
    (error) => error instanceof SocksError ? error.reply : error.constructor.name,
  );
  client.writer.writeBinary(bytes);
  await client.writer.flush();
  await client.closeWrite();
  const result = await hearing;
  const rest = await readAll(proxy);
  await proxy.close();
  return { result, rest, answer: await readAll(client) };
}

async function heard(bytes: Uint8Array, login: typeof LOGIN | null = null) {
  const [client, proxy] = memoryPair();
  try {
    return await heardOn(client, proxy, bytes, login);
  } finally {
    await Promise.all([client.close(), proxy.close()]);
  }
}

const OPEN = "\x05\x01\x00";
const BY_PASSWORD = "\x05\x02\x00\x02\x01\x02me\x07s\xc3\xa9same";
const NAMED = "\x05\x01\x00\x03\x07a.local\x01\xbb";

test("hear() understands each kind of address, wherever the bytes are split", async () => {
  const cases: [string, typeof LOGIN | null, string, string][] = [
    [`${OPEN}\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50early`, null, "127.0.0.1 80", "\x05\x00"],
    [
      `${OPEN}\x05\x01\x00\x04${"\0".repeat(15)}\x01\xff\xffearly`,
      null,
      "0:0:0:0:0:0:0:1 65535",
      "\x05\x00",
    ],
    [`${BY_PASSWORD}${NAMED}early`, LOGIN, "a.local 443", "\x05\x02\x01\x00"],
  ];
  for (const [text, login, result, answer] of cases) {
    const bytes = Buffer.from(text, "latin1");
    const counts = await everySplit(async (client, proxy) => {
      assertEquals(await heardOn(client, proxy, bytes, login), { result, rest: "early", answer });
    }, { casesMax: 300 });
    assert(counts.cases > bytes.length, `${counts.cases} cases`);
  }
});

test("hear() ends when a client goes, wherever it does", async () => {
  const bytes = Buffer.from(`${BY_PASSWORD}${NAMED}`, "latin1");
  for (let at = 0; at < bytes.length; at++) {
    const { result } = await heard(bytes.subarray(0, at), LOGIN);
    assertEquals(result, "EofError", `at ${at}`);
  }
});

test("hear() refuses what is no request of this proxy's, by the reply that is meant for it", async () => {
  const address = "\x01\x7f\x00\x00\x01\x00\x50";
  const cases: [string, typeof LOGIN | null, Reply | null, string][] = [
    [`${OPEN}\x05\x02\x00${address}`, null, Reply.NO_COMMAND, "\x05\x00"], // BIND
    [`${OPEN}\x05\x03\x00${address}`, null, Reply.NO_COMMAND, "\x05\x00"], // UDP ASSOCIATE
    [`${OPEN}\x05\x01\x00\x02${address}`, null, Reply.NO_KIND, "\x05\x00"],
    [`${OPEN}\x05\x01\x00\x03\x00\x00\x50`, null, Reply.FAILED, "\x05\x00"],
    [`${OPEN}\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00`, null, Reply.FAILED, "\x05\x00"],
    [`${OPEN}\x04\x01\x00${address}`, null, null, "\x05\x00"],
    ["\x04\x01\x00\x50\x7f\x00\x00\x01\x00", null, null, ""], // SOCKS4
    ["GET / HTTP/1.1\r\n\r\n", null, null, ""],
    [OPEN, LOGIN, null, "\x05\xff"],
    ["\x05\x00", null, null, "\x05\xff"],
    ["\x05\x01\x02", null, null, "\x05\xff"],
    ["\x05\x01\x02\x01\x02me\x05wrong", LOGIN, null, "\x05\x02\x01\x01"],
    ["\x05\x01\x02\x01\x02ha\x07s\xc3\xa9same", LOGIN, null, "\x05\x02\x01\x01"],
    ["\x05\x01\x02\x01\x00\x00", LOGIN, null, "\x05\x02\x01\x01"],
    ["\x05\x01\x02\x05", LOGIN, null, "\x05\x02"],
  ];
  for (const [text, login, result, answer] of cases) {
    const got = await heard(Buffer.from(text, "latin1"), login);
    assertEquals([got.result, got.answer], [result, answer], JSON.stringify(text));
  }
});

test("writeReply() writes each kind of address", () => {
  const written = (hostname: string) => {
    const buffer = new LinkBuffer();
    writeReply(buffer, Reply.SUCCEEDED, { transport: "tcp", hostname, port: 0x1234 });
    buffer.flush();
    const hex = Buffer.from(buffer.readBinary(buffer.length)).toString("hex");
    buffer.close();
    return hex;
  };
  assertEquals(written("192.0.2.1"), "05000001c00002011234");
  assertEquals(written("::1"), `05000004${"0".repeat(30)}011234`);
  assertEquals(written("2001:db8::a:1"), "0500000420010db80000000000000000000a00011234");
  assertEquals(written("fe80::"), `05000004fe80${"0".repeat(28)}1234`);
});

test("allowance() keeps strangers from this machine, whatever its address is written like", () => {
  const strangers = allowance([], true);
  for (
    const address of [
      ...["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255"],
      ...["::1", "::", "fe80::1", "fe80::1%lo", "ff02::1", "0:0:0:0:0:0:0:1"],
      ...["::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:1", "::FFFF:127.0.0.1"],
    ]
  ) assert(!strangers(address), address);
  for (const address of ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"]) {
    assert(strangers(address), address);
  }
  assert(allowance([], false)("127.0.0.1"));
  const named = allowance(["10.0.0.0/8", "::1", "127.0.0.1"], false);
  const addresses = ["10.1.2.3", "::1", "127.0.0.1", "127.0.0.2", "192.0.2.1"];
  assertEquals(addresses.map(named), [true, true, true, false, false]);
  for (const network of ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "localhost", "::/129"]) {
    assertThrows(() => allowance([network], false), RangeError);
  }
});

test("connectTo() dials no address that is not allowed, by whatever name", async () => {
  const strangers = allowance([], true);
  for (const host of ["localhost", "127.0.0.1", "::ffff:7f00:1", "127.1", "0x7f000001", "0"]) {
    const error = await assertRejects(
      () => connectTo({ host, port: 1 }, strangers, AbortSignal.timeout(HANDSHAKE_MS_MAX)),
      SocksError,
    );
    // Some resolvers do not know all of them.
    assert(error.reply === Reply.NOT_ALLOWED || error.reply === Reply.HOST_UNREACHABLE, host);
  }
});

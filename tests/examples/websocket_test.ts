/**
 * examples/websocket/: what a server makes of frames, at every split.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import type { HttpError } from "../../examples/http/error.ts";
import { HttpRequest } from "../../examples/http/request.ts";
import { type Handlers, Peer } from "../../examples/websocket/peer.ts";
import { isUpgrade, upgradeFields } from "../../examples/websocket/upgrade.ts";
import { type Connection, EofError, everySplit, memoryPair } from "../../mod.ts";
import { until } from "../support/until.ts";

const FIN = 0x80;

/** A frame as a client sends it. */
function masked(first: number, payload: string | Uint8Array, lengthBytes = 0): Buffer {
  const bytes = Buffer.from(payload as string, "latin1");
  const count = lengthBytes || (bytes.length < 126 ? 1 : bytes.length < 65536 ? 2 : 8);
  const length = Buffer.alloc(count === 1 ? 1 : count + 1);
  if (count === 1) length[0] = bytes.length;
  if (count === 2) length.writeUInt16BE(bytes.length, 1);
  if (count === 8) length.writeBigUInt64BE(BigInt(bytes.length), 1);
  if (count > 1) length[0] = count === 2 ? 126 : 127;
  length[0]! |= 0x80;
  const mask = [0x37, 0xfa, 0x21, 0x3d];
  return Buffer.from([first, ...length, ...mask, ...bytes.map((byte, i) => byte ^ mask[i & 3]!)]);
}

/** Frames of a server in short: the first byte, and the payload. */
function shown(bytes: Buffer): string[] {
  const all: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const short = bytes[at + 1]!;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    const count = head === 2
      ? short
      : head === 4
      ? bytes.readUInt16BE(at + 2)
      : Number(bytes.readBigUInt64BE(at + 2));
    const payload = bytes.toString("latin1", at + head, at + head + count);
    all.push(`${bytes[at]!.toString(16)} ${count > 200 ? count : payload}`);
    at += head + count;
  }
  return all;
}

async function readAll({ reader }: Connection): Promise<Buffer> {
  for (;;) {
    try {
      await reader.wait(reader.length + 1);
    } catch (error) {
      if (!(error instanceof EofError)) throw error;
      return Buffer.from(reader.readBinary(reader.length));
    }
  }
}

/** The answer of an echo to a client that says this and ends its side, and the code at the end. */
async function echoed(client: Connection, server: Connection, bytes: Uint8Array) {
  const codes: number[] = [];
  const handlers: Handlers = {
    onMessage: (peer, message) => peer.send(message),
    onClose: (_, code) => void codes.push(code),
  };
  const peer = new Peer(server, handlers);
  server.setOnRequest(() => peer.onRequest());
  client.writer.writeBinary(bytes);
  await client.writer.flush();
  await client.closeWrite();
  const answer = shown(await readAll(client));
  await until(() => codes.length > 0, "the peer hears of its end");
  return { answer, code: codes[0] };
}

async function answerTo(...frames: Uint8Array[]) {
  const [client, server] = memoryPair();
  try {
    return await echoed(client, server, Buffer.concat(frames));
  } finally {
    await Promise.all([client.close(), server.close()]);
  }
}

test("Peer puts messages together, wherever the bytes are split", async () => {
  const bytes = Buffer.concat([
    masked(FIN | 1, "h\xc3\xa9"),
    masked(FIN | 2, "\x00\xff"),
    masked(1, "\xc3"), // half of a character
    masked(FIN | 9, "are you there"),
    masked(0, ""),
    masked(FIN | 10, "nobody has asked"),
    masked(FIN | 0, "\xa9!"),
    masked(FIN | 2, "x".repeat(126)),
    masked(FIN | 1, ""),
    masked(FIN | 8, "\x03\xe8bye"),
    masked(FIN | 1, "too late"),
  ]);
  const answer = [
    ...["81 h\xc3\xa9", "82 \x00\xff", "8a are you there", "81 \xc3\xa9!"],
    ...[`82 ${"x".repeat(126)}`, "81 ", "88 \x03\xe8"],
  ];
  const counts = await everySplit(async (client, server) => {
    assertEquals(await echoed(client, server, bytes), { answer, code: 1000 });
  }, { casesMax: 400 });
  assert(counts.cases > bytes.length, `${counts.cases} cases`);
});

test("Peer ends a conversation that breaks a rule, and says which", async () => {
  const wrong: [string, number, ...Uint8Array[]][] = [
    ["a frame without a mask", 1002, Buffer.from("\x81\x01a", "latin1")],
    ["a reserved bit", 1002, masked(FIN | 0x41, "a")],
    ["a reserved opcode", 1002, masked(FIN | 3, "a")],
    ["a reserved control opcode", 1002, masked(FIN | 11, "a")],
    ["a control frame in fragments", 1002, masked(9, "a")],
    ["a long control frame", 1002, masked(FIN | 9, "a".repeat(126))],
    ["a continuation of nothing", 1002, masked(FIN | 0, "a")],
    ["a message within a message", 1002, masked(1, "a"), masked(FIN | 1, "b")],
    ["text that is none", 1007, masked(FIN | 1, "\xc3\x28")],
    ["text that ends within a character", 1007, masked(FIN | 1, "\xc3")],
    ["a surrogate", 1007, masked(FIN | 1, "\xed\xa0\x80")],
    ["bad text before the last fragment", 1007, masked(1, "\xff"), masked(0, "a")],
    ["a reason that is no text", 1007, masked(FIN | 8, "\x03\xe8\xff")],
    ["half a code", 1002, masked(FIN | 8, "\x03")],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].map((code): [string, number, Buffer] => {
      return [`the code ${code}`, 1002, masked(FIN | 8, Buffer.from([code >> 8, code & 255]))];
    }),
    ["a frame that is too long", 1009, Buffer.from([0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 1])],
    ["a length beyond all numbers", 1009, Buffer.from([0x82, 0xff, ...new Array(8).fill(255)])],
  ];
  for (const [what, code, ...frames] of wrong) {
    const before = masked(FIN | 1, "before");
    const got = await answerTo(before, ...frames, masked(FIN | 1, "behind"));
    assertEquals(got.answer[0], "81 before", what);
    assertEquals(got.answer.length, 2, what);
    assertEquals(
      got.answer[1]!.slice(0, 5),
      `88 ${String.fromCharCode(code >> 8, code & 255)}`,
      what,
    );
    assertEquals(got.code, code, what);
  }
});

test("Peer refuses a message that is too long in all, however small its fragments are", async () => {
  const piece = new Uint8Array(4 << 20);
  const frames = [masked(2, piece), ...new Array(4).fill(masked(0, piece))];
  const { answer, code } = await answerTo(...frames);
  assertEquals([answer.length, code], [1, 1009]);
});

test("Peer answers the last word of a client, with its code or without", async () => {
  assertEquals(await answerTo(masked(FIN | 8, "")), { answer: ["88 "], code: 1005 });
  assertEquals(await answerTo(masked(FIN | 8, "\x10\xe1bye")), {
    answer: ["88 \x10\xe1"],
    code: 4321,
  });
  assertEquals(await answerTo(masked(FIN | 1, "a")), { answer: ["81 a"], code: 1006 });
  assertEquals(await answerTo(masked(1, "a")), { answer: [], code: 1006 });
});

test("upgradeFields() takes a request for WebSocket, and no other", () => {
  const fields = {
    Host: "localhost:80",
    Upgrade: "websocket",
    Connection: "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
  };
  const request = (others: Record<string, string>, line = "GET / HTTP/1.1") => {
    const all = Object.entries({ ...fields, ...others }).filter(([, value]) => value !== "");
    const lines = all.map(([name, value]) => `${name}: ${value}\r\n`);
    return new HttpRequest(`${line}\r\n${lines.join("")}\r\n`);
  };
  // The example of RFC 6455, section 1.3.
  const accepted = Buffer.from(upgradeFields(request({})).bytes).toString();
  assert(accepted.includes("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), accepted);
  upgradeFields(request({ Origin: "http://localhost:80", Upgrade: "WebSocket" }));
  const statusOf = (others: Record<string, string>, line?: string) => {
    try {
      upgradeFields(request(others, line));
      return 101;
    } catch (error) {
      return (error as HttpError).status;
    }
  };
  assertEquals(statusOf({}, "POST / HTTP/1.1"), 400);
  assertEquals(statusOf({}, "GET / HTTP/1.0"), 400);
  assertEquals(statusOf({ Connection: "keep-alive" }), 400);
  assertEquals(statusOf({ "Sec-WebSocket-Key": "" }), 400);
  assertEquals(statusOf({ "Sec-WebSocket-Key": "c2hvcnQ=" }), 400);
  assertEquals(statusOf({ "Content-Length": "5" }), 400);
  assertEquals(statusOf({ Origin: "http://evil.example" }), 403);
  assertEquals(statusOf({ Origin: "null" }), 403);
  assert(!isUpgrade(request({ Upgrade: "h2c" })));
});

/**
 * The servers that are attacked: what each serves, what it is asked, and what it must refuse.
 */
import {
  type Connection,
  delimited,
  dial,
  frames,
  lengthPrefixed,
  pipe,
  resp,
  responder,
  tagged,
  varintPrefixed,
} from "../../mod.ts";
import { http } from "../../examples/http/service.ts";
import type { HttpRequest } from "../../examples/http/request.ts";
import type { HttpResponse } from "../../examples/http/response.ts";
import { Fields } from "../../examples/http/head.ts";
import { PIPES_SPARE_MAX } from "../../src/core/limits.ts";
import { HTTP_REFUSED, RESP_REFUSED } from "./refused.ts";

/** Something that a server must not take: it ends the connection. */
export type Refused = readonly [what: string, bytes: string];

/** A kind of server. Requests, answers and what is refused are latin1. */
export interface Target {
  readonly name: string;
  /** Whatever runs for a connection: a handler, or all of it. */
  readonly onRequest?: (connection: Connection) => void | Promise<void>;
  readonly onConnect?: (connection: Connection, upstream: string) => Promise<undefined> | undefined;
  /** A request with a number in it. */
  request(n: number): string;
  /** Its answer. */
  answer(n: number): string;
  /** Whether a client is sent what others say, too. */
  readonly isShared?: boolean;
  /** Descriptors that it may keep for reuse. */
  readonly spareDescriptors?: number;
  readonly refused?: readonly Refused[];
  /** How the server says that it refuses, if it does before it closes. */
  readonly refusal?: RegExp;
}

const TEXT_BYTES = 64;
const FRAME_BYTES_MAX = 64 * 1024;
const LINE_BYTES_MAX = 4096;
const KIB = "x".repeat(1024);

/** 64 bytes with a number in them. */
function text(n: number): string {
  return `#${n}#`.padEnd(TEXT_BYTES - 1, ".") + "\n";
}

/** Bytes, as the latin1 of which the rest here is made. */
function chars(...bytes: number[]): string {
  return String.fromCharCode(...bytes);
}

function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

async function echoWaiting({ reader, writer }: Connection): Promise<void> {
  await reader.wait(TEXT_BYTES);
  writer.writeBinary(reader.next(TEXT_BYTES));
  await writer.flush();
  reader.release();
}

const lengths = lengthPrefixed({ frameBytesMax: FRAME_BYTES_MAX });
const varints = varintPrefixed({ frameBytesMax: FRAME_BYTES_MAX });
const lines = delimited(10, { frameBytesMax: LINE_BYTES_MAX });
const requests = tagged(lengthPrefixed({ frameBytesMax: FRAME_BYTES_MAX }));

/** Sends each frame back. */
function echoFrames(codec: typeof lengths): (connection: Connection) => Promise<void> {
  return async (connection) => {
    for await (const frame of frames(connection, codec)) {
      codec.encode(connection.writer, frame);
      await connection.writer.flush();
    }
  };
}

async function echoValues(connection: Connection): Promise<void> {
  const codec = resp({ frameBytesMax: FRAME_BYTES_MAX });
  for await (const value of frames(connection, codec)) {
    codec.encode(connection.writer, value as Parameters<typeof codec.encode>[1]);
    await connection.writer.flush();
  }
}

/** Reads the body, which may be wrong, and answers. */
function tellTarget({ body, target }: HttpRequest, response: HttpResponse): void | Promise<void> {
  const tell = () => response.send(200, PLAIN, `you said ${target}\n`);
  return body.isEnded ? tell() : body.drop().then(tell);
}

const PLAIN = new Fields({ "Content-Type": "text/plain" });

async function passOn(client: Connection, upstream: string): Promise<undefined> {
  const server = await dial("tcp", upstream, { timeoutMs: 10_000, sendBufferBytes: 64 * 1024 });
  await pipe(client, server);
}

const room = new Set<Connection>();

function join(connection: Connection): undefined {
  room.add(connection);
  connection.addCloseCallback(() => void room.delete(connection));
}

/** What one says, all hear who take it. */
async function sayToAll({ reader }: Connection): Promise<void> {
  const count = await reader.waitUntil(10, { maxBytes: LINE_BYTES_MAX });
  const line = reader.readBinary(count);
  reader.release();
  for (const { writer } of room) {
    if (!writer.isWritable) continue;
    writer.writeBinary(line);
    void writer.flush();
  }
}

const LONG_LINE: Refused = ["a line without an end", KIB.repeat(5)];
const LONG_LENGTHS: readonly Refused[] = [
  ["a frame of one byte too many", chars(0, 1, 0, 1)],
  ["a frame of 2 GiB", chars(0x80, 0, 0, 0)],
  ["a frame of -1 bytes", chars(0xff, 0xff, 0xff, 0xff)],
];

function length4(payload: string): string {
  return chars(0, 0, payload.length >> 8, payload.length & 255) + payload;
}

/** All of them. */
export const TARGETS: readonly Target[] = [
  { name: "echo", onRequest: echo, request: text, answer: text },
  { name: "waiting echo", onRequest: echoWaiting, request: text, answer: text },
  {
    name: "length-prefixed",
    onRequest: echoFrames(lengths),
    request: (n) => length4(text(n)),
    answer: (n) => length4(text(n)),
    refused: LONG_LENGTHS,
  },
  {
    name: "varint",
    onRequest: echoFrames(varints),
    request: (n) => chars(TEXT_BYTES) + text(n),
    answer: (n) => chars(TEXT_BYTES) + text(n),
    refused: [
      ["a frame of one byte too many", chars(0x81, 0x80, 0x04)],
      ["a frame of 34 GiB", chars(0xff, 0xff, 0xff, 0xff, 0x7f)],
      ["a length of eleven bytes", "\xff".repeat(10) + "\x01"],
      ["a length that never ends", "\x80".repeat(64)],
    ],
  },
  {
    name: "lines",
    onRequest: echoFrames(lines),
    request: text,
    answer: text,
    refused: [LONG_LINE],
  },
  {
    name: "RESP",
    onRequest: echoValues,
    request: (n) => `*2\r\n$4\r\nECHO\r\n$64\r\n${text(n)}\r\n`,
    answer: (n) => `*2\r\n$4\r\nECHO\r\n$64\r\n${text(n)}\r\n`,
    refused: RESP_REFUSED,
  },
  {
    name: "HTTP",
    onRequest: http(tellTarget),
    request: (n) => `GET /${n} HTTP/1.1\r\nHost: a\r\nX-More: ${"y".repeat(32)}\r\n\r\n`,
    answer: (n) => {
      const body = `you said /${n}\n`;
      return `Content-Length: ${body.length}\r\n\r\n${body}`;
    },
    refused: HTTP_REFUSED,
    refusal: /^HTTP\/1\.1 [45]\d\d /,
  },
  {
    name: "RPC",
    onRequest: responder(requests, (body) => body),
    request: (n) => length4(chars(0, 0, n >> 8 & 255, n & 255) + text(n)),
    answer: (n) => length4(chars(0, 0, n >> 8 & 255, n & 255) + text(n)),
    refused: [...LONG_LENGTHS, ["a frame without a number", chars(0, 0, 0, 1, 0)]],
  },
  {
    name: "proxy",
    onConnect: passOn,
    request: text,
    answer: text,
    spareDescriptors: 2 * PIPES_SPARE_MAX,
  },
  {
    name: "broadcast",
    onConnect: join,
    onRequest: sayToAll,
    request: text,
    answer: text,
    isShared: true,
    refused: [LONG_LINE],
  },
];

/** The one of a name. */
export function targetOf(name: string): Target {
  const target = TARGETS.find((each) => each.name === name);
  if (target === undefined) throw new Error(`There is no server "${name}"`);
  return target;
}

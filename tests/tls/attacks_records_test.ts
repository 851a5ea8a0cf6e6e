/**
 * Records that a peer may send after its handshake: floods, wrong ones, and those that an attacker
 * between both sides changes, repeats or leaves out.
 */
import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { type Connection, EofError, TlsError } from "../../mod.ts";
import { forge, type Forger, Kind, prepareForging } from "../support/forger.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { tlsTest } from "../support/pki.ts";
import { serveSecure } from "../support/secure.ts";
import { soon, until } from "../support/until.ts";

/** A handshake message: its kind and its body. */
function message(kind: number, body: Uint8Array | readonly number[]): Buffer {
  const { length } = body;
  return Buffer.concat([
    Buffer.from([kind, length >> 16, length >> 8 & 255, length & 255]),
    Buffer.from(body),
  ]);
}

function repeat(count: number, make: () => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, make));
}

const NEW_KEYS = message(24, [0]);
const NEW_KEYS_AND_YOURS = message(24, [1]);
const TICKET = message(4, [0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 4, 1, 2, 3, 4, 0, 0]);
const HELLO = message(1, Buffer.alloc(100));
/** A record whose header says more than there may be (RFC 8446 §5.2). */
const HUGE = Buffer.from([23, 3, 3, 0x48, 0, ...Array(100).fill(0)]);

/** What is sent, and what the victim says. `null` is an end in order. */
const ATTACKS: readonly [
  what: string,
  send: (forger: Forger) => Buffer,
  reason: TlsError["reason"] | null,
  why: RegExp,
  victim?: "client" | "server",
][] = [
  // After the first, the keys are others, and what follows is not told apart from rubbish.
  [
    "new keys that nobody uses",
    (f) => Buffer.concat([f.record(Kind.HANDSHAKE, NEW_KEYS), f.record(Kind.DATA, [1])]),
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "new keys in the middle of a record",
    (f) => f.record(Kind.HANDSHAKE, Buffer.concat([NEW_KEYS, NEW_KEYS_AND_YOURS])),
    "protocol",
    /not on record boundary/,
  ],
  [
    "new keys of a kind that there is none of",
    (f) => f.record(Kind.HANDSHAKE, message(24, [2])),
    "protocol",
    /bad key update/,
  ],
  [
    "a flood of empty records",
    (f) => repeat(100, () => f.record(Kind.DATA, [])),
    "protocol",
    /record too small/,
  ],
  [
    "a flood of empty records that are long",
    (f) => repeat(40, () => f.record(Kind.DATA, [], 16_000)),
    "protocol",
    /record too small/,
  ],
  ["empty messages", (f) => f.record(Kind.HANDSHAKE, []), "protocol", /bad length/],
  ["empty alerts", (f) => f.record(Kind.ALERT, []), "protocol", /bad length/],
  ["half an alert", (f) => f.record(Kind.ALERT, [2]), "protocol", /alert/],
  ["a record of zeros", (f) => f.record(0, [], 100), "protocol", /record|data/],
  ["a record of an unknown kind", (f) => f.record(99, [1, 2, 3]), "protocol", /record|message/],
  ["a record that is too long by its header", () => HUGE, "protocol", /length too long/],
  [
    "a record that is too long by its content",
    (f) => f.record(Kind.DATA, Buffer.alloc(16_385)),
    "protocol",
    /length too long/,
  ],
  [
    "a record that is too short for a tag",
    () => Buffer.from([23, 3, 3, 0, 3, 1, 2, 3]),
    "protocol",
    /length too|too short|changed|small/,
  ],
  [
    "bytes without encryption",
    () => Buffer.from([23, 3, 3, 0, 30, ...Array(30).fill(65)]),
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "a message without encryption",
    () => Buffer.from([22, 3, 3, 0, 104, ...HELLO]),
    "protocol",
    /record|message/,
  ],
  [
    "a fatal alert without encryption",
    () => Buffer.from([21, 3, 3, 0, 2, 2, 40]),
    "protocol",
    /record|alert/,
  ],
  [
    "an end without encryption",
    () => Buffer.from([21, 3, 3, 0, 2, 1, 0]),
    "protocol",
    /record|alert/,
  ],
  [
    "plain HTTP",
    () => Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "protocol",
    /http request|record|wrong version|length|does not speak/i,
  ],
  [
    "garbage",
    () => Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 7919 + 13) & 255)),
    "protocol",
    /./,
  ],
  [
    "a changed record",
    (f) => {
      const r = f.record(Kind.DATA, [1, 2, 3]);
      r[6]! ^= 1;
      return r;
    },
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "a record twice",
    (f) => {
      const r = f.record(Kind.DATA, [1, 2, 3]);
      return Buffer.concat([r, r]);
    },
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "a record too few",
    (f) => {
      f.record(Kind.DATA, [1]);
      return f.record(Kind.DATA, [2]);
    },
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "records in another order",
    (f) => {
      const [a, b] = [f.record(Kind.DATA, [1]), f.record(Kind.DATA, [2])];
      return Buffer.concat([b, a]);
    },
    "protocol",
    /changed, lost or sent twice/,
  ],
  [
    "a wish to negotiate anew",
    (f) => f.record(Kind.HANDSHAKE, HELLO),
    "protocol",
    /unexpected message/,
  ],
  [
    "a message that is longer than any",
    (f) => f.record(Kind.HANDSHAKE, [24, 255, 255, 255, 0]),
    "protocol",
    /excessive message size|length|bad key update/,
  ],
  [
    "a message with data in its middle",
    (f) =>
      Buffer.concat([f.record(Kind.HANDSHAKE, NEW_KEYS.subarray(0, 2)), f.record(Kind.DATA, [1])]),
    "protocol",
    /mixed handshake/,
  ],
  [
    "a wish for a certificate",
    (f) => f.record(Kind.HANDSHAKE, message(13, [0, 0, 0])),
    "protocol",
    /unexpected message|./,
  ],
  [
    "a change of ciphers",
    () => Buffer.from([20, 3, 3, 0, 1, 1]),
    "protocol",
    /ccs|change cipher|record/i,
  ],
  [
    "a fatal alert",
    (f) => f.record(Kind.ALERT, [2, 80]),
    "alert",
    /peer refuses us: .*internal error/,
  ],
  [
    "a warning that is as good as fatal",
    (f) => f.record(Kind.ALERT, [1, 42]),
    "alert",
    /peer refuses us: .*bad certificate/,
  ],
  [
    "a flood of warnings",
    (f) => repeat(20, () => f.record(Kind.ALERT, [1, 90])),
    "protocol",
    /too many warn alerts/,
  ],
  [
    "an end, and data behind it",
    (f) => Buffer.concat([f.record(Kind.ALERT, [1, 0]), f.record(Kind.DATA, [1, 2, 3])]),
    null,
    /./,
  ],
  [
    "a flood of tickets",
    (f) => repeat(200, () => f.record(Kind.HANDSHAKE, TICKET)),
    "protocol",
    /messages without data/,
    "client",
  ],
  ["a ticket", (f) => f.record(Kind.HANDSHAKE, TICKET), "protocol", /unexpected message/, "server"],
];

/** The error with which a connection's reader ends. */
async function endOf({ reader }: Connection): Promise<EofError> {
  const error = await soon(reader.wait(1 << 20).catch((error) => error), "the end");
  assertInstanceOf(error, EofError);
  return error;
}

async function attack(
  victim: "client" | "server",
  make: (forger: Forger) => Buffer,
): Promise<unknown> {
  const accepted: Connection[] = [];
  await using secure = serveSecure(null, {}, { onConnect: (each) => void accepted.push(each) });
  const other = await secure.dial();
  const { client, asClient, asServer } = await forge(secure);
  await until(() => accepted.length === 2, "both connections");
  const [others, server] = accepted as [Connection, Connection];
  const forger = victim === "server" ? asClient : asServer(server.fd);
  const end = endOf(victim === "server" ? server : client);
  forger.send(make(forger));
  const { cause } = await end;
  await send(other, "hello");
  assertEquals(await receive(others, 5), "hello");
  await Promise.all([client, server, other].map((each) => each.close({ timeoutMs: 0 })));
  return cause;
}

for (const [what, make, reason, why, only] of ATTACKS) {
  for (const victim of ["server", "client"] as const) {
    if (only !== undefined && only !== victim) continue;
    const verb = reason === null ? "ends in order at" : "refuses";
    tlsTest(`a ${victim} ${verb} ${what}, and others are served`, async () => {
      prepareForging();
      await leaks(async () => {
        const cause = await attack(victim, make);
        if (reason === null) return assertEquals(cause, undefined);
        assertInstanceOf(cause, TlsError, String(cause));
        assertEquals(cause.reason, reason, cause.message);
        assertMatch(cause.message, why);
      });
    });
  }
}

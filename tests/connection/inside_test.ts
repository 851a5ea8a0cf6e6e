import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  Connection,
  lengthPrefixed,
  LinkBuffer,
  Multiplexer,
  pipe,
  responder,
  ShardQueue,
  tagged,
} from "../../mod.ts";
import { faceOf, insideIfAny } from "../../src/connection/connection.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith } from "../support/pair.ts";
import { soon } from "../support/until.ts";

const codec = tagged(lengthPrefixed());
const multiplex = (connection: Connection) => void new Multiplexer(connection, codec);
const queue = (connection: Connection) => void new ShardQueue(connection);
const respond = (connection: Connection) =>
  void responder(codec, () => new LinkBuffer())(connection);

test("what only looks like a Connection is taken for none, and loses nothing of a real one", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const forged: Connection[] = [
      Object.create(Connection.prototype),
      Object.create(a),
      new Proxy(a, {}),
      insideOf(a, "test") as unknown as Connection,
      { ...a, reader: a.reader, writer: a.writer, fd: a.fd } as unknown as Connection,
      ...[null, undefined, 7] as unknown as Connection[],
    ];
    for (const each of forged) {
      assertEquals(insideIfAny(each), null);
      await assertRejects(() => pipe(a, each), TypeError, "it is no Connection");
      await assertRejects(() => pipe(each, a), TypeError, "it is no Connection");
      for (const use of [multiplex, queue, respond]) {
        assertThrows(() => use(each), TypeError, "it is no Connection");
      }
    }
    assertThrows(() => forged[0]!.close(), TypeError);
    assertThrows(() => forged[0]!.reader, TypeError);
    a.writer.writeString("still here");
    await a.writer.flush();
    await soon(b.reader.wait(10));
    assertEquals(b.reader.readString(10), "still here");
    await closeAll(a, b);
  }));

test("insideOf() gives what faceOf() was given", async () => {
  const [a, b] = pairWith();
  const inside = insideOf(a, "test");
  assert(insideOf(faceOf(inside), "test") === inside);
  assert(inside.face === a);
  await closeAll(a, b);
});

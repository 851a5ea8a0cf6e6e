import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  Connection,
  createListener,
  dial,
  EventLoop,
  lengthPrefixed,
  Multiplexer,
  pipe,
  socketPair,
  tagged,
} from "../../mod.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll } from "../support/pair.ts";
import { soon } from "../support/until.ts";

test("a Connection is one face from its first callback to its last, and an instance", () =>
  leaks(async () => {
    const faces: unknown[] = [];
    const over = Promise.withResolvers<void>();
    const loop = new EventLoop<Connection>((connection, context) => {
      faces.push(connection, context);
      connection.reader.skip(connection.reader.length);
      connection.reader.release();
      throw new Error("for onError");
    }, {
      onPrepare(connection) {
        faces.push(connection);
        return connection;
      },
      onConnect(connection, context) {
        faces.push(connection, context);
        connection.addCloseCallback((closed) => {
          faces.push(closed);
          over.resolve();
        });
        return context;
      },
      onDisconnect: (connection) => void faces.push(connection),
      onError: (_, connection) => void faces.push(connection),
    });
    const listener = createListener("unix", "@netpoll-one-face");
    const served = loop.serve(listener);
    const client = await dial("unix", "@netpoll-one-face");
    assert(client instanceof Connection);
    client.writer.writeString("x");
    await client.writer.flush();
    await soon(over.promise);
    await client.close();
    await loop.shutdown();
    await served;
    assert(faces.length >= 7, String(faces.length));
    for (const face of faces) assert(face === faces[0] && face instanceof Connection);
  }));

test("new Connection() is refused, and says who makes one", async () => {
  const Constructor = Connection as unknown as new (...given: unknown[]) => Connection;
  const [a, b] = socketPair();
  const inside = insideOf(a, "test");
  for (const given of [[], [Symbol("key"), inside], [undefined, inside], [a]]) {
    assertThrows(() => new Constructor(...given), TypeError, "socketPair");
  }
  class Own extends Constructor {}
  assertThrows(() => new Own(), TypeError, "socketPair");
  await closeAll(a, b);
});

test("console.log of a Connection draws it, and no member of its inside", async () => {
  const [a, b] = socketPair();
  assert(inspect(a).startsWith("Connection open"), inspect(a));
  assertEquals(Object.keys(a), []);
  assertEquals(JSON.stringify(a), "{}");
  await closeAll(a, b);
});

test("a Multiplexer and a pipe leave the Connection the face that it was", async () => {
  const [a, b] = socketPair();
  const client = new Multiplexer(a, tagged(lengthPrefixed()));
  assert(a instanceof Connection);
  await client.close();
  const [c, d] = socketPair();
  const piped = pipe(b, c);
  await closeAll(d);
  await piped.catch(() => {});
  assert(b instanceof Connection && c instanceof Connection);
});

import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ClosedError, type Connection, dial, type DialOptions, TimeoutError } from "../../mod.ts";
import { serveHandler } from "../support/echo_server.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

const LIFETIME_MS = 1000;
/** More than its user, or its peer, may be still. */
const STILL_MS = 6000;

/** The client that dialled, and the server's end of the connection. */
interface Dialled {
  readonly client: Connection;
  readonly server: Connection;
  readonly fake: FakeClock;
  /** The client's time is over. */
  grow(): Promise<void>;
}

function dialled(
  body: (dialled: Dialled) => Promise<void>,
  options: DialOptions = {},
): Promise<void> {
  return leaks(() =>
    withFakeClock(async (fake) => {
      const accepted = Promise.withResolvers<Connection>();
      await using at = serveHandler(null, {
        onConnect: (each) => accepted.resolve(each) as undefined,
      });
      const client = await dial("tcp", at.at, { lifetimeMs: LIFETIME_MS, ...options });
      const server = await soon(accepted.promise);
      const grow = () => fake.advance(1.1 * LIFETIME_MS);
      await body({ client, server, fake, grow });
      await server.close({ timeoutMs: 0 });
      await client.close();
    })
  );
}

/** It says that the lifetime is over. */
function assertLifetime(error: unknown): void {
  assertInstanceOf(error, ClosedError);
  assertInstanceOf(error.cause, TimeoutError);
  assertEquals(error.cause.operation, "lifetime");
}

test("lifetimeMs lets a wait for an answer finish, however long that takes", () =>
  dialled(async ({ client, server, fake, grow }) => {
    await send(client, "question");
    const answer = receive(client, 6);
    await grow();
    await fake.advance(2 * STILL_MS);
    assertEquals(await receive(server, 8), "question");
    await send(server, "an");
    await fake.advance(1000);
    await send(server, "swer");
    assertEquals(await soon(answer), "answer");
    await soon(client.closed);
    assertLifetime(await assertRejects(() => client.reader.wait(1)));
    assertLifetime(assertThrows(() => client.writer.writeString("x")));
    assertLifetime(await assertRejects(() => client.writer.flush()));
  }));

test("lifetimeMs lets an answer be read in pieces, one wait after the other", () =>
  dialled(async ({ client, server, fake, grow }) => {
    await send(client, "question");
    await receive(server, 8);
    const answer = async () => {
      await client.reader.wait(1);
      const size = client.reader.readByte() - 48;
      await client.reader.wait(size);
      return client.reader.readString(size);
    };
    const answered = answer();
    await grow();
    await send(server, "4");
    await ticks(5);
    await send(server, "body");
    assertEquals(await soon(answered), "body");
    client.reader.release(); // which says that it is done
    await fake.advance(1000);
    await soon(client.closed);
  }));

test("lifetimeMs ends a wait when nothing was asked, and says so", () =>
  dialled(async ({ client, server, grow }) => {
    await send(client, "question");
    await receive(server, 8);
    await send(server, "answer");
    await receive(client, 6);
    const next = client.reader.wait(1);
    next.catch(() => {});
    await grow();
    assertLifetime(await assertRejects(() => soon(next)));
    await soon(client.closed);
  }));

test("lifetimeMs gives an answer that nobody waits for yet its time", () =>
  dialled(async ({ client, server, fake, grow }) => {
    await send(client, "question");
    await receive(server, 8);
    await grow();
    assert(client.isActive, "its answer is under way");
    const answer = receive(client, 6);
    await send(server, "answer");
    assertEquals(await soon(answer), "answer");
    await soon(client.closed);
    await fake.advance(1);
  }));

test("lifetimeMs ends what only sends, after that time", () =>
  dialled(async ({ client, server, fake, grow }) => {
    await send(client, "one line");
    await grow();
    await fake.advance(1000);
    await send(client, "one more");
    await fake.advance(STILL_MS);
    assertEquals(await receive(server, 16), "one lineone more");
    await soon(client.closed);
  }));

test("lifetimeMs leaves what was received to be read", () =>
  dialled(async ({ client, server, grow }) => {
    await send(server, "news");
    await until(() => client.reader.length === 4, "the bytes");
    await grow();
    await soon(client.closed);
    await client.reader.wait(4);
    assertEquals(client.reader.readString(4), "news");
    client.reader.release();
    assertLifetime(await assertRejects(() => soon(client.reader.wait(1))));
    await client.close();
    assertThrows(() => client.reader.next(1), ClosedError);
  }));

test("lifetimeMs gives up an answer whose rest does not come", () =>
  dialled(async ({ client, server, fake, grow }) => {
    await send(client, "question");
    await receive(server, 8);
    const answer = client.reader.wait(6);
    answer.catch(() => {});
    await send(server, "an");
    await until(() => client.reader.length === 2, "a part");
    await grow();
    assertEquals(await stateOf(answer), "pending");
    await fake.advance(STILL_MS);
    assertLifetime(await assertRejects(() => soon(answer)));
    assertEquals((await assertRejects(() => client.closed, TimeoutError)).operation, "lifetime");
    await ticks(1);
  }));

test("lifetimeMs lets a handler that was dialled with hear the answer", () => {
  const heard: string[] = [];
  return dialled(async ({ client, server, grow }) => {
    await send(client, "question");
    await receive(server, 8);
    await grow();
    await send(server, "answer");
    await soon(client.closed);
    assertEquals(heard, ["answer"]);
  }, {
    onRequest: ({ reader }) => {
      heard.push(reader.readString(reader.length));
      reader.release();
    },
  });
});

import { assertEquals, assertInstanceOf } from "@std/assert";
import { type Connection, dial, type NetpollError, TlsError } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { until } from "../support/until.ts";

const trusted = () => ({ authorities: authority().certificate });

tlsTest("handshakesMax: more wait for their turn, and get it", () =>
  leaks(async () => {
    await using secure = serveSecure(echoBack, { handshakeTimeoutMs: 60_000 }, {
      handshakesMax: 1,
    });
    const silent = new RawPeer(secure.listener);
    const waiting = secure.dial(trusted());
    assertEquals(await Promise.race([waiting, tickedAWhile()]), "still waiting");
    silent.close(); // its handshake ends
    const connection = await waiting;
    await send(connection, "hello");
    assertEquals(await receive(connection, 5), "hello");
    await connection.close();
  }));

/** Some turns of the runtime's. */
async function tickedAWhile(): Promise<string> {
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  return "still waiting";
}

tlsTest("connectionsMax counts handshakes, and a failed one makes room", () =>
  leaks(async () => {
    const errors: NetpollError[] = [];
    await using secure = serveSecure(echoBack, {}, {
      connectionsMax: 1,
      connectionsPerAddressMax: 1,
      onHandshakeError: (error) => void errors.push(error),
    });
    const wrong = await dial("tcp", secure.at, { tls: true }).catch((error) => error);
    assertInstanceOf(wrong, TlsError);
    await until(() => errors.length === 1, "the server hears of it");
    const connection = await secure.dial(trusted());
    await send(connection, "hello");
    assertEquals(await receive(connection, 5), "hello");
    await connection.close();
  }));

tlsTest(
  "shutdown() ends the handshakes that are under way, and the ones that wait",
  () =>
    leaks(async () => {
      const secure = serveSecure(echoBack, { handshakeTimeoutMs: 60_000 }, { handshakesMax: 1 });
      const peers = [new RawPeer(secure.listener), new RawPeer(secure.listener)];
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
      await secure[Symbol.asyncDispose]();
      for (const peer of peers) peer.close();
    }),
);

tlsTest("many handshakes at once all succeed", () =>
  leaks(async () => {
    await using secure = serveSecure(echoBack, {}, { handshakesMax: 4 });
    const options = trusted();
    const all = await Promise.all(Array.from({ length: 40 }, () => secure.dial(options)));
    await Promise.all(all.map(async (connection: Connection) => {
      await send(connection, "hello");
      assertEquals(await receive(connection, 5), "hello");
      await connection.close();
    }));
  }));

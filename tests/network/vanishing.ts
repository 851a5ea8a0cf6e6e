/**
 * Peers that vanish: the link is cut, and they are gone without an end or a reset. Whatever a server
 * was doing with them comes to its end by a deadline, and nothing of it is left.
 */
import { assertEquals, assertGreaterOrEqual, assertInstanceOf, assertRejects } from "@std/assert";
import {
  ClosedError,
  type Connection,
  createListener,
  dial,
  EventLoop,
  pipe,
  SendFileError,
  TimeoutError,
  UnsentError,
} from "../../mod.ts";
import { assertCalm } from "../support/calm.ts";
import { delay, until } from "../support/until.ts";
import { isLost, passes, write } from "./deadlines.ts";
import { call, CUT, echo, HEALED, type Scenario, serveWith, withFile } from "./scenario.ts";
import { receive, Source } from "./source.ts";

const KIB = 1024;
const UPSTREAM = "127.0.0.1:7001";
/** There somebody sends much as soon as he is dialled. */
const FLOOD = "127.0.0.1:7002";
/** More than the kernel's buffers take. */
const MUCH_BYTES = 4 * 1024 * KIB;
const TIMEOUT_MS = 1000;
/** They fit in a receive buffer that nobody reads from, */
const UNREAD_BYTES = 48 * KIB;
/** and for so long nobody does: the probes find out meanwhile. */
const UNREAD_MS = 4000;
/** They find out after six seconds: later than the deadlines, on a machine that is busy, too. */
const PROBES = { idleMs: 4000, intervalMs: 1000, count: 2 };

/** Closes with bytes that nobody takes. */
async function dropsRest(connection: Connection): Promise<void> {
  const { unsentBytes } = await connection.close({ timeoutMs: TIMEOUT_MS });
  assertGreaterOrEqual(unsentBytes, 1);
  await assertRejects(() => connection.closed, UnsentError);
}

/** What a server does with a peer that is gone, and what comes of it. */
const USES: Readonly<Record<string, (connection: Connection, seed: number) => Promise<void>>> = {
  async reads(connection) {
    connection.readTimeoutMs = TIMEOUT_MS;
    await passes("read", TIMEOUT_MS, () => connection.reader.wait(1));
    await connection.close();
  },
  async isProbed(connection) {
    await isLost("ETIMEDOUT", () => connection.reader.wait(1));
  },
  async writes(connection, seed) {
    connection.writeTimeoutMs = TIMEOUT_MS;
    await passes("write", TIMEOUT_MS, () => write(connection, seed, MUCH_BYTES));
    await dropsRest(connection);
  },
  async sendsFile(connection, seed) {
    connection.writeTimeoutMs = TIMEOUT_MS;
    await withFile(
      { bytes: MUCH_BYTES, seed },
      (path) => passes("write", TIMEOUT_MS, () => connection.sendFile(path)),
    );
    await dropsRest(connection);
  },
  async isIdle(connection, seed) {
    connection.idleTimeoutMs = TIMEOUT_MS;
    await write(connection, seed, KIB);
    await passes("idle", TIMEOUT_MS, () => connection.closed);
  },
  async pins(connection, seed) {
    connection.zeroCopy = "always";
    write(connection, seed, MUCH_BYTES).catch(() => {}); // dropped below
    await dropsRest(connection);
    assertEquals(connection.zeroCopyCounts.outstandingBytes, 0);
  },
  async isReset(connection, seed) {
    connection.zeroCopy = "always";
    write(connection, seed, MUCH_BYTES).catch(() => {}); // dropped below
    connection.reset();
    await connection.closed;
    assertEquals(connection.zeroCopyCounts.outstandingBytes, 0);
  },
  async isIdleAmidFile(connection, seed) {
    connection.idleTimeoutMs = TIMEOUT_MS;
    await withFile({ bytes: MUCH_BYTES, seed }, async (path) => {
      const { cause } = await assertRejects(() => connection.sendFile(path), ClosedError);
      assertInstanceOf(cause, TimeoutError);
    });
  },
  async abortsFile(connection, seed) {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await withFile({ bytes: MUCH_BYTES, seed }, async (path) => {
      const reason = await connection.sendFile(path, { signal }).catch((error) => error);
      assertEquals(reason, signal.reason);
    });
    const { sentBytes } = await assertRejects(() => connection.closed, SendFileError);
    assertGreaterOrEqual(sentBytes, 1); // so it was reset
  },
  async abortsFlush(connection, seed) {
    new Source(seed).fill(connection.writer.malloc(MUCH_BYTES));
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    assertEquals(await connection.writer.flush({ signal }).catch((error) => error), signal.reason);
    await dropsRest(connection);
  },
  async pipesMuch(connection) {
    connection.idleTimeoutMs = TIMEOUT_MS;
    const upstream = await dial("tcp", FLOOD);
    await passes("idle", TIMEOUT_MS, () => pipe(connection, upstream));
    await upstream.closed.catch(() => {}); // reset with it
  },
  async isPiped(connection) {
    await isLost("ETIMEDOUT", async () => await pipe(connection, await dial("tcp", UPSTREAM)));
  },
};

/** One connection for each, and one for the shutdown. */
const COUNT = Object.keys(USES).length + 1;

const vanished: Scenario = {
  title: "peers that vanish",
  isOwnNetwork: true,
  serve({ seed, link }) {
    const upstream = new EventLoop(echo);
    const served = upstream.serve(createListener("tcp", UPSTREAM));
    const flood = new EventLoop(null, {
      onConnect: (connection) => void write(connection, seed, MUCH_BYTES).catch(() => {}),
    });
    const flooded = flood.serve(createListener("tcp", FLOOD));
    const uses = Object.entries(USES);
    const connections: Connection[] = [];
    const useAll = async () => {
      await link(CUT, CUT);
      const [last, ...rest] = connections;
      write(last!, seed, MUCH_BYTES).catch(() => {}); // cut by the shutdown
      await Promise.all(uses.map(([name, use], i) =>
        use(rest[i]!, seed).catch((cause) => {
          throw new Error(`${name}: ${cause.message}`, { cause });
        })
      ));
      await assertCalm();
      assertEquals(await serving.loop.shutdown({ timeoutMs: TIMEOUT_MS }), { cut: 1 });
    };
    const used = Promise.withResolvers<void>();
    const serving = serveWith(null, {
      keepAlive: PROBES,
      onConnect(connection) {
        connections.push(connection);
        if (connections.length === COUNT) useAll().then(used.resolve, used.reject);
      },
    });
    return {
      async stop() {
        await used.promise;
        await Promise.all([upstream.shutdown(), flood.shutdown(), served, flooded]);
        await serving.stop();
      },
    };
  },
  async call({ link }) {
    const connections = await Promise.all(Array.from({ length: COUNT }, () => call()));
    await link(CUT, CUT);
    for (const connection of connections) connection.reset(); // nobody hears of it
  },
};

/** What came of a connection that is broken is still to be read. */
function unread(code: "ETIMEDOUT" | "ECONNRESET"): Scenario {
  return {
    title: `bytes that nobody has read when ${code} comes`,
    isOwnNetwork: true,
    serve({ seed }) {
      const used = Promise.withResolvers<void>();
      const readLate = async (connection: Connection) => {
        await connection.reader.wait(1); // all of it is on its way
        connection.pauseRead();
        await delay(UNREAD_MS);
        connection.resumeRead();
        await receive(connection, seed, UNREAD_BYTES);
        await isLost(code, () => connection.reader.wait(1));
      };
      const serving = serveWith(null, {
        keepAlive: { idleMs: 1000, intervalMs: 1000, count: 1 },
        onConnect: (connection) => void readLate(connection).then(used.resolve, used.reject),
      });
      return {
        async stop() {
          await used.promise;
          await serving.stop();
        },
      };
    },
    async call({ seed, link }) {
      const connection = await call();
      await write(connection, seed, UNREAD_BYTES);
      await until(() => connection.metrics().tcp!.ackedBytes >= UNREAD_BYTES, "all acknowledged");
      if (code === "ETIMEDOUT") await link(CUT, CUT);
      connection.reset();
    },
  };
}

/** The machine of a peer comes back, and knows nothing of its connections. */
const rebooted: Scenario = {
  title: "a peer that vanished comes back without its connections",
  isOwnNetwork: true,
  serve({ seed, link }) {
    const connected = Promise.withResolvers<Connection>();
    const serving = serveWith(null, { onConnect: (connection) => connected.resolve(connection) });
    return {
      async stop() {
        const connection = await connected.promise;
        connection.zeroCopy = "always";
        const written = write(connection, seed, MUCH_BYTES);
        await delay(500);
        await link(HEALED, HEALED);
        await isLost("ECONNRESET", () => connection.reader.wait(1));
        await isLost("ECONNRESET", () => written);
        await isLost("ECONNRESET", () => connection.closed);
        await serving.stop();
      },
    };
  },
  async call({ link }) {
    const connection = await call();
    await delay(100); // it is accepted
    await link(CUT, CUT);
    connection.reset();
  },
};

/** Probes and TCP_USER_TIMEOUT: a short cut is no loss, a long one is. */
const survived: Scenario = {
  title: "keepAlive and userTimeoutMs",
  isOwnNetwork: true,
  serve: () => serveWith(echo),
  async call({ seed, link }) {
    const probed = await call({ keepAlive: PROBES });
    const timed = await call({ userTimeoutMs: 3000 });
    await assertCalm();
    await delay(7000); // more than the probes need to find a peer gone
    for (const connection of [probed, timed]) {
      const received = receive(connection, seed, KIB);
      await link(CUT, CUT);
      await write(connection, seed, KIB);
      await delay(500);
      await link(HEALED, HEALED);
      await received;
    }
    await link(CUT, CUT);
    await write(timed, seed, KIB);
    await Promise.all([
      isLost("ETIMEDOUT", () => probed.reader.wait(1)),
      isLost("ETIMEDOUT", () => timed.reader.wait(1)),
    ]);
    await link(HEALED, HEALED);
  },
};

/** By name. */
export const VANISHING: Readonly<Record<string, Scenario>> = {
  "vanish": vanished,
  "unread": unread("ETIMEDOUT"),
  "unread-reset": unread("ECONNRESET"),
  "reboot": rebooted,
  "probes": survived,
};

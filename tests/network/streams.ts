/**
 * Streams of bytes over a bad network: echoed, sent from our own memory, through a proxy, from files.
 */
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import {
  type Connection,
  createListener,
  dial,
  EofError,
  EventLoop,
  pipe,
  type ZeroCopyMode,
} from "../../mod.ts";
import {
  call,
  echo,
  type Figures,
  type Scenario,
  serveWith,
  type Serving,
  withFile,
  type Work,
} from "./scenario.ts";
import { digestOf, receive, send } from "./source.ts";

const UPSTREAM = "127.0.0.1:7001";

/** Sends, and receives the same. */
async function exchange(connection: Connection, { bytes, seed }: Work): Promise<void> {
  const [digest] = await Promise.all([
    receive(connection, seed, bytes),
    send(connection, seed, bytes),
  ]);
  assertEquals(digest, digestOf(seed, bytes));
}

/** Sends a stream while another comes, and ends its side. */
async function cross(connection: Connection, bytes: number, [own, other]: [number, number]) {
  const [digest] = await Promise.all([
    receive(connection, other, bytes),
    send(connection, own, bytes),
  ]);
  assertEquals(digest, digestOf(other, bytes));
  const { unsentBytes } = await connection.close();
  assertEquals(unsentBytes, 0);
}

const echoed: Scenario = {
  title: "an echo",
  serve: () => serveWith(echo),
  async call(work) {
    await using connection = await call();
    await exchange(connection, work);
    await connection.closeWrite();
    await assertRejects(() => connection.reader.wait(1), EofError);
  },
};

/** Both ends send from their memory; what goes back there is not what came. */
function zeroCopied(mode: ZeroCopyMode): Scenario {
  return {
    title: `zeroCopy: "${mode}" at both ends`,
    bytesMin: 1024 * 1024,
    serve({ bytes, seed }) {
      const done: Promise<void>[] = [];
      const serving = serveWith(null, {
        zeroCopy: mode,
        onConnect(connection) {
          done.push(cross(connection, bytes, [seed + 1, seed]));
          return done.at(-1) as Promise<undefined>;
        },
      });
      return {
        async stop() {
          await Promise.all(done);
          await serving.stop();
        },
      };
    },
    async call({ bytes, seed }): Promise<Figures> {
      const connection = await call({ zeroCopy: mode });
      await cross(connection, bytes, [seed, seed + 1]);
      await connection.closed;
      const { calls, completions, copied, outstandingCalls } = connection.zeroCopyCounts;
      assertGreater(calls, 0);
      assertEquals([completions, outstandingCalls], [calls, 0]);
      return { zeroCopyCalls: calls, zeroCopyCopied: copied };
    },
  };
}

/** A proxy at the server's, to an echo there: what crosses the link is spliced. */
const proxied: Scenario = {
  title: "an echo through pipe()",
  serve(): Serving {
    const upstream = new EventLoop(echo);
    const served = upstream.serve(createListener("tcp", UPSTREAM));
    const moved = { there: 0, back: 0 };
    const proxy = serveWith(null, {
      async onConnect(client): Promise<undefined> {
        const { aToB, bToA } = await pipe(client, await dial("tcp", UPSTREAM));
        moved.there += aToB;
        moved.back += bToA;
      },
    });
    return {
      async stop() {
        await proxy.stop();
        await upstream.shutdown();
        await served;
        assertEquals(moved.there, moved.back);
        return moved;
      },
    };
  },
  call: echoed.call,
};

/** Sends a file while another comes. */
async function crossFiles(connection: Connection, work: Work, other: number): Promise<void> {
  const [digest, sent] = await withFile(
    work,
    (path) => Promise.all([receive(connection, other, work.bytes), connection.sendFile(path)]),
  );
  assertEquals([digest, sent], [digestOf(other, work.bytes), work.bytes]);
  const { unsentBytes } = await connection.close();
  assertEquals(unsentBytes, 0);
}

const filed: Scenario = {
  title: "sendFile() at both ends",
  serve(work) {
    const done: Promise<void>[] = [];
    const own = { ...work, seed: work.seed + 1 };
    const serving = serveWith(null, {
      onConnect(connection) {
        done.push(crossFiles(connection, own, work.seed));
        return done.at(-1) as Promise<undefined>;
      },
    });
    return {
      async stop() {
        await Promise.all(done);
        await serving.stop();
      },
    };
  },
  call: async (work) => await crossFiles(await call(), work, work.seed + 1),
};

/** By name. */
export const STREAMS: Readonly<Record<string, Scenario>> = {
  "echo": echoed,
  "zero-copy": zeroCopied("always"),
  "zero-copy-auto": zeroCopied("auto"),
  "proxy": proxied,
  "file": filed,
};

/**
 * Much over TLS, with a program in Go at the other end: large streams, many connections, a cluster; and
 * handshakes that break at every point.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { freePort, startServer } from "../../bench/harness/child.ts";
import {
  type ClusterOptions,
  type Connection,
  dial,
  type ListenerOptions,
  metrics,
  NetpollError,
} from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { TestCluster } from "../support/cluster.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { pemFolder, serverOf, shown, talkTo } from "../support/outside.ts";
import { send } from "../support/pair.ts";
import { authority, identity, NO_TLS, serverIdentity } from "../support/pki.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { serve } from "../support/serve.ts";
import { commandOf, echoThrough, GO, runPeer, strictTls } from "../support/tls_peers.ts";
import { lacks, SCALE, TOOL_MS_MAX } from "../support/tool.ts";
import { soon, until } from "../support/until.ts";

const MIB = 1 << 20;
const BULK_BYTES = SCALE === 1 ? 64 * MIB : 1024 * MIB;
/** The bounds of what is unread (1 MiB) and unsent (4 MiB), and the blocks that are in use beside. */
const HELD_BYTES_MAX = 8 * MIB;
const SHORT_COUNT = SCALE === 1 ? 1000 : 10_000;
const SHORT_AT_ONCE = 16;
/** More would be left behind if each connection left half of what one needs, some 12 KiB. */
const SHORT_KIB_MAX = 6 * SHORT_COUNT;

function bulkTest(name: string, run: () => Promise<void>): void {
  test(name, { skip: NO_TLS || lacks(GO.tool, "openssl") }, () => leaks(run));
}

/** The most bytes that blocks held in a call, and how many more the process had at its end. */
async function memoryOf(call: (look: () => void) => Promise<void>): Promise<number> {
  const before = process.memoryUsage().rss;
  let most = 0;
  const look = () => void (most = Math.max(most, blocks.counts().usedBytes));
  await call(look);
  const grown = (process.memoryUsage().rss - before) / MIB;
  console.log(`  ${(most / MIB).toFixed(1)} MiB held at most, ${grown.toFixed(1)} more resident`);
  return most;
}

bulkTest(`${BULK_BYTES / MIB} MiB come to us and go back, in bounded memory`, async () => {
  const most = await memoryOf(async (look) => {
    await using server = serveSecure((connection) => {
      look();
      echoBack(connection);
    }, strictTls());
    const args = ["once", `${server.port}`, pemFolder(), "TLSv1.3", `${BULK_BYTES}`];
    const { equal, clean } = JSON.parse(await runPeer(GO, ...args));
    assertEquals([equal, clean], [1, 1]);
  });
  assert(most < HELD_BYTES_MAX, `${most} bytes were held`);
});

bulkTest(`${BULK_BYTES / MIB} MiB go from us and come back, in bounded memory`, async () => {
  const [program, ...more] = await commandOf(GO);
  const argv = [program, ...more, GO.server, pemFolder()];
  const server = await startServer({ argv, cwd: root, timeoutMs: TOOL_MS_MAX });
  try {
    const tls = { authorities: authority().certificate, ...shown(identity("client")) };
    const most = await memoryOf(async (look) => {
      const connection = await dial("tcp", `localhost:${server.port}`, { tls, timeoutMs: 20_000 });
      await echoThrough(connection, BULK_BYTES, true, look);
    });
    assertEquals(await server.line(), "clean client");
    assert(most < HELD_BYTES_MAX, `${most} bytes were held`);
  } finally {
    await server.stop();
  }
});

function short(port: number, count: number): Promise<string> {
  return runPeer(GO, "short", `${port}`, pemFolder(), `${count}`, `${SHORT_AT_ONCE}`);
}

bulkTest(`${SHORT_COUNT} short connections leave nothing`, async () => {
  await using server = serveSecure(echoBack, strictTls());
  const warm = SHORT_COUNT / 4;
  assertEquals(await short(server.port, warm), `${warm}\n`);
  const [resident, before] = [process.memoryUsage().rss, metrics().tls.handshakes];
  assertEquals(await short(server.port, SHORT_COUNT), `${SHORT_COUNT}\n`);
  assertEquals(metrics().tls.handshakes - before, SHORT_COUNT);
  await until(() => server.loop.connectionCount === 0, "the end of all");
  const grownKib = Math.round((process.memoryUsage().rss - resident) / 1024);
  console.log(`  ${SHORT_COUNT} short connections: ${grownKib} KiB more resident`);
  assert(grownKib < SHORT_KIB_MAX, `${grownKib} KiB more are resident`);
});

const MODES: readonly [ClusterOptions["acceptMode"] & string, ListenerOptions][] = [
  ["handover", {}],
  ["reuseport", { reusePort: true }],
];

for (const [acceptMode, more] of MODES) {
  test(`a cluster serves Go's clients, short ones and their sessions: ${acceptMode}`, {
    skip: NO_TLS || lacks(GO.tool),
  }, async () => {
    const options = { ...more, tls: { ...serverIdentity(), ...strictTls() } };
    await using server = new TestCluster({ acceptMode }, options);
    const { address } = server.listener;
    const port = address.transport === "tcp" ? address.port : 0;
    const count = SHORT_COUNT / 4;
    assertEquals(await short(port, count), `${count}\n`);
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      const args = [GO.client, `${port}`, pemFolder(), version, "1000003"];
      const { equal, resumed, refused } = JSON.parse(await runPeer(GO, ...args));
      assertEquals([equal, resumed, refused], [3, [false, true, true], 2]);
    }
    assertEquals(server.errors, []);
  });
}

// ---- broken handshakes ------------------------------------------------------------------------------

/** Passes so many bytes on, of both ways together, and then cuts both sides. */
function cutter(port: number, bytes: number, how: "end" | "reset") {
  let left = bytes;
  const cut = (...both: Connection[]) => {
    for (const each of both) {
      if (how === "reset") each.reset();
      else void each.close({ timeoutMs: 0 });
    }
  };
  const pump = async (from: Connection, to: Connection) => {
    while (left > 0) {
      await from.reader.wait(1);
      const count = Math.min(left, from.reader.length);
      left -= count;
      to.writer.writeBinary(from.reader.readBinary(count));
      from.reader.release();
      await to.writer.flush();
    }
    cut(from, to);
  };
  const { loop, listener, served } = serve(null, {
    onConnect: async (client) => {
      const server = await dial("tcp", `127.0.0.1:${port}`);
      const over = (error: unknown) => {
        assertInstanceOf(error, NetpollError);
        cut(client, server);
      };
      void pump(client, server).catch(over);
      void pump(server, client).catch(over);
      return undefined;
    },
  });
  const { address } = listener;
  return {
    port: address.transport === "tcp" ? address.port : 0,
    async [Symbol.asyncDispose]() {
      await loop.shutdown({ timeoutMs: 0 });
      await served;
    },
  };
}

/** Where handshakes are cut: in the first message, between messages, in the last of them. */
const CUTS = [1, 5, 100, 300, 517, 700, 1000, 1300, 1500, 1700, 1900];

/** A handshake may be over before so many bytes: then this is cut. */
const LINE = `${"x".repeat(4000)}\n`;

/** Rejects when the connection is cut. */
async function askUntilCut(connection: Connection): Promise<void> {
  try {
    await send(connection, LINE);
    await connection.reader.wait(LINE.length);
  } finally {
    await connection.close({ timeoutMs: 0 });
  }
}

for (const how of ["end", "reset"] as const) {
  for (const version of ["1.2", "1.3"] as const) {
    bulkTest(`handshakes of TLS ${version} that break anywhere leave nothing: ${how}`, async () => {
      const flag = version === "1.2" ? "-tls1_2" : "-tls1_3";
      await using server = serveSecure(echoBack);
      const { keyFile, certificateFile } = identity("server");
      const args = ["-cert", certificateFile, "-key", keyFile, flag, "-rev"];
      const theirPort = await freePort();
      const accept = ["s_server", "-accept", `127.0.0.1:${theirPort}`, ...args];
      await using theirs = await serverOf(theirPort, "openssl", accept);
      for (const bytes of CUTS) {
        // Our server, asked by openssl.
        await using cut = cutter(server.port, bytes, how);
        const ask = ["s_client", "-connect", `127.0.0.1:${cut.port}`, flag];
        await using client = talkTo("openssl", ask);
        client.write(LINE);
        await soon(client.ended, "s_client ends");
        // Our client, at openssl's server.
        await using other = cutter(theirs.port, bytes, how);
        const tls = { authorities: authority().certificate, versionMax: version };
        const dialled = dial("tcp", `127.0.0.1:${other.port}`, { tls, timeoutMs: 5000 });
        const error = await soon(dialled.then(askUntilCut), "the dial").catch((error) => error);
        assertInstanceOf(error, NetpollError, `${bytes} bytes`);
      }
      await until(() => server.loop.connectionCount === 0, "the end of all");
      const client = await server.dial();
      await client.close();
    });
  }
}

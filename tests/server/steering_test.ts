import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  Cluster,
  type ClusterDatagramOptions,
  type DatagramSocket,
  dialDatagram,
  steeredIndex,
  type UdpAddress,
} from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { texts } from "../support/datagrams.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const HANDLER = new URL("../support/datagram_handler.ts", import.meta.url);
const LENGTH_MAX = 20;
const WHO = [...new TextEncoder().encode("who")];

/** So many random bytes. */
function bytesOf(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

const FULL = 0xffff_ffffn;

/** The same by other means: FNV-1a and fmix32 in whole numbers. */
function model(range: Uint8Array, pollerCount: number): number {
  if (range.length === 1) return range[0]! % pollerCount;
  let hash = 2_166_136_261n;
  for (const byte of range) hash = ((hash ^ BigInt(byte)) * 16_777_619n) & FULL;
  hash = ((hash ^ (hash >> 16n)) * 0x85eb_ca6bn) & FULL;
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2_ae35n) & FULL;
  return Number((hash ^ (hash >> 16n)) % BigInt(pollerCount));
}

test("steeredIndex() is one byte modulo the pollers, and FNV-1a with fmix32 of more", () => {
  const random = seededRandom(17);
  for (let round = 0; round < 2000; round++) {
    const range = bytesOf(random, 1 + round % LENGTH_MAX);
    const pollerCount = 1 + random.below(64);
    assertEquals(steeredIndex(range, pollerCount), model(range, pollerCount), `${range}`);
  }
  // Written down: ids that were given out stay where they are.
  const id = new TextEncoder().encode("connection");
  assertEquals([2, 3, 4, 1000].map((count) => steeredIndex(id, count)), [0, 1, 2, 582]);
});

test("steeredIndex() spreads, whichever bytes of a range vary, and by whatever step", () => {
  const steps = [1, 2, 4, 16, 64, 256, 4096, 65_536, 2 ** 20];
  const ids = 512;
  for (const lengthBytes of [2, 4, 8, LENGTH_MAX]) {
    for (const isLittle of [true, false]) {
      for (const step of steps.filter((step) => step * ids <= 2 ** (8 * lengthBytes))) {
        for (const pollerCount of [2, 3, 4, 8, 16]) {
          const counts = new Array<number>(pollerCount).fill(0);
          for (let n = 0; n < ids; n++) {
            const range = new Uint8Array(lengthBytes);
            for (let at = 0, left = n * step; left > 0; at++, left = Math.floor(left / 256)) {
              range[isLittle ? at : lengthBytes - 1 - at] = left % 256;
            }
            counts[steeredIndex(range, pollerCount)]! += 1;
          }
          const share = ids / pollerCount;
          const isEven = counts.every((count) => count > share / 3 && count < share * 2);
          assert(isEven, `${lengthBytes} bytes, ${isLittle}, step ${step}: ${counts}`);
        }
      }
    }
  }
});

test("steeredIndex() refuses what is no range, and what is no number of pollers", () => {
  for (const range of ["id", null, undefined, [1], new Uint16Array(2)]) {
    assertThrows(() => steeredIndex(range as never, 2), TypeError, "Uint8Array");
  }
  for (const length of [0, 21]) {
    assertThrows(() => steeredIndex(new Uint8Array(length), 2), RangeError, "20");
  }
  for (const pollerCount of [0, -1, 1.5, NaN, 1025]) {
    assertThrows(() => steeredIndex(new Uint8Array(4), pollerCount), RangeError, "pollerCount");
  }
});

/** A cluster, and how to bind a group of it, shut down afterwards. */
async function withCluster(
  pollerCount: number,
  call: (
    bind: (options: ClusterDatagramOptions) => Promise<UdpAddress>,
    cluster: Cluster,
  ) => Promise<void>,
): Promise<void> {
  const cluster = new Cluster(HANDLER, { pollerCount, onWorkerError: () => {} });
  try {
    await call((options) => cluster.bindDatagram("udp4", "127.0.0.1:0", options), cluster);
  } finally {
    await cluster.shutdown({ timeoutMs: 100 });
  }
}

async function ask(client: DatagramSocket, question: readonly number[]): Promise<number> {
  client.write(Uint8Array.from(question));
  await client.flush();
  return Number(await texts(client, 1));
}

test("the kernel steers by steerLengthBytes as steeredIndex() says, every length and short ones", () =>
  withCluster(3, async (bind) => {
    const random = seededRandom(17);
    for (let steerLengthBytes = 1; steerLengthBytes <= LENGTH_MAX; steerLengthBytes++) {
      const steerOffset = random.below(40);
      const at = await bind({ steerOffset, steerLengthBytes });
      await using client = await dialDatagram(at, { readTimeoutMs: 10_000 });
      const head = [...bytesOf(random, steerOffset)];
      for (let n = 0; n < 8; n++) {
        const range = bytesOf(random, steerLengthBytes);
        const expected = model(range, 3);
        assertEquals(await ask(client, [...head, ...range, ...WHO]), expected, `${range}`);
      }
      const shorter = new Array<number>(steerOffset + steerLengthBytes).fill(255);
      if (shorter.length <= WHO.length) continue;
      assertEquals(await ask(client, [...shorter.slice(WHO.length + 1), ...WHO]), 0);
    }
  }));

test("an id leads to the same poller from any address, and after its Worker has died", () =>
  withCluster(3, async (bind, cluster) => {
    const at = await bind({ steerOffset: 1, steerLengthBytes: 8 });
    const random = seededRandom(17);
    const ids = Array.from({ length: 12 }, () => bytesOf(random, 8));
    const askAll = async () => {
      const indexes: number[] = [];
      for (const id of ids) {
        await using client = await dialDatagram(at, { readTimeoutMs: 10_000 });
        indexes.push(await ask(client, [0, ...id, ...WHO]));
      }
      return indexes;
    };
    const expected = ids.map((id) => model(id, 3));
    assertEquals(await askAll(), expected);
    killWorker(cluster, expected[0]!);
    await until(() => cluster.pollers.length < 3, "the Worker has ended");
    assertEquals(await askAll(), expected);
  }));

test("steerOffset 6 keeps a connection of QUIC, whose ids name its poller in byte 0 and in byte 5", () =>
  withCluster(3, async (bind) => {
    const at = await bind({ steerOffset: 6 });
    const random = seededRandom(17);
    await using client = await dialDatagram(at, { readTimeoutMs: 10_000 });
    // RFC 9000 §17.2: form, version, length of the id, id. §17.3.1: form, id.
    const long = (id: Uint8Array) => [0xc0, 0, 0, 0, 1, id.length, ...id, ...WHO];
    const short = (id: Uint8Array) => [0x40, ...id, ...WHO];
    for (let n = 0; n < 8; n++) {
      const invented = bytesOf(random, 8); // by the client, before it knows one of the server's
      const index = await ask(client, long(invented));
      const id = bytesOf(random, 8);
      id[0] = id[5] = 3 * random.below(85) + index;
      assertEquals(await ask(client, long(invented)), index);
      assertEquals(await ask(client, long(id)), index);
      assertEquals(await ask(client, short(id)), index);
    }
  }));

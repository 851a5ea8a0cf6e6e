/**
 * The attacks: what each does, to which servers, and what a connection may hold meanwhile.
 */
import { delay, tick } from "../support/until.ts";
import { MSG_OOB } from "./attacker.ts";
import { FULL_BYTES, PART_BYTES } from "./bounds.ts";
import { memoryGroupObstacle } from "./memory_group.ts";
import { eventually } from "./eventually.ts";
import { TARGETS } from "./targets.ts";
import { type Attack, bytesOf, type Siege } from "./siege.ts";

const KIB = 1024;
/** An attacker that is refused by its address comes from here. */
const ELSEWHERE = "127.0.0.7";

/** So many numbers, from a first one. */
function numbers(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

function requestsOf({ target }: Siege, count: number): Uint8Array {
  return bytesOf(numbers(count).map((n) => target.request(n)).join(""));
}

/** Requests come a byte at a time, to all connections in turn. */
async function byteAtATime(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count);
  const requests = all.map((_, i) => bytesOf(siege.target.request(i)));
  await Promise.all(all.map(async (each, i) => {
    for (let at = 0; at < requests[i]!.length; at++) {
      await eventually(
        () => each.push(requests[i]!, at, 1) === 1 || each.isOver,
        "room for a byte",
      );
      await tick();
    }
    await siege.hear(each, i);
  }));
}

/** Sends requests and takes no answer, until the server takes no more; with hardly any window. */
async function neverReads(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count, { receiveBufferBytes: 2 * KIB });
  const bytes = requestsOf(siege, 1000);
  const offsets = all.map(() => 0);
  for (let still = 0; still < 40; still++) {
    for (const [i, each] of all.entries()) {
      for (let n = 0; n < 16; n++) {
        const count = each.push(bytes, offsets[i]!);
        if (count === 0) break;
        offsets[i] = (offsets[i]! + count) % bytes.length;
        still = 0;
      }
    }
    await delay(1);
  }
}

/** Connects, and says nothing. */
async function halfOpen(siege: Siege): Promise<void> {
  await siege.connectAll(siege.count);
  const { server } = siege;
  const expected = siege.count;
  await eventually(async () => (await server.report()).active >= expected, "all connections");
}

/** Says one half, and no more. */
async function halfSaid(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count);
  const request = siege.target.request(1);
  for (const [i, each] of all.entries()) {
    await siege.send(each, request.slice(0, 1 + i % (request.length - 1)));
  }
}

/** Says a little now and then, so that it is never idle, and never done: deadlines end it. */
async function slowloris(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count);
  const bytes = bytesOf(siege.target.request(1));
  let at = 0;
  await eventually(async () => {
    for (const each of all) {
      if (at < bytes.length - 1 && !each.isOver) each.push(bytes, at, 1);
      each.take();
      if (siege.target.refusal?.test(each.received)) each.end();
    }
    at += 1;
    await delay(40);
    return all.every((each) => each.isOver);
  }, "the end of all that are slow");
}

/** Resets after each number of bytes, with answers read and unread, and with more behind. */
async function resets(siege: Siege): Promise<void> {
  const request = siege.target.request(1);
  for (let i = 0; i < siege.count; i++) {
    const said = request.repeat(3).slice(0, i % (3 * request.length));
    const attacker = siege.connect();
    await siege.send(attacker, said);
    if (i % 3 === 1) await tick();
    if (i % 3 === 2 && said.length >= request.length) await siege.hear(attacker, 1);
    attacker.reset();
    siege.release([attacker]);
  }
}

/** Ends its side after each number of bytes: the server must end its own. */
async function ends(siege: Siege): Promise<void> {
  const request = siege.target.request(1);
  const all = await siege.connectAll(siege.count);
  for (const [i, each] of all.entries()) {
    await siege.send(each, request.slice(0, i % (request.length + 1)));
    each.end();
  }
  await siege.over(all, "a connection whose client has ended its side");
  for (const [i, each] of all.entries()) {
    if (i % (request.length + 1) === request.length) await siege.hear(each, 1);
  }
}

/** Sends what is no request, in one piece and byte by byte. */
async function refused(siege: Siege): Promise<void> {
  const { target } = siege;
  for (let round = 0; round < siege.count; round++) {
    for (const [what, bytes] of target.refused ?? []) {
      const attacker = siege.connect();
      await siege.send(attacker, bytes, round % 2 === 0 ? Infinity : 1 + siege.random.below(700));
      const { refusal } = target;
      if (refusal !== undefined) {
        await eventually(() => {
          attacker.take();
          return attacker.isOver || refusal.test(attacker.received);
        }, `a refusal of ${what}`);
        attacker.end();
      }
      await siege.over([attacker], `a connection with ${what}`);
      if (/smuggled\n/.test(attacker.received)) throw new Error(`${what}: it was answered`);
      siege.release([attacker]);
    }
  }
}

/** Requests without a pause, and every answer is read. */
async function flood(siege: Siege, segmentBytes?: number): Promise<void> {
  const count = siege.isFull ? 20_000 : 2000;
  const all = await siege.connectAll(siege.count, {
    isDeaf: true,
    ...segmentBytes && { segmentBytes },
  });
  const bytes = requestsOf(siege, count);
  await Promise.all(all.map((each) => siege.send(each, bytes)));
  if (siege.target.isShared) return;
  const one = siege.connect();
  await siege.send(one, bytes);
  await siege.hear(one, ...numbers(count));
  const total = one.receivedBytes;
  await eventually(() => {
    for (const each of all) each.take();
    return all.every((each) => each.receivedBytes === total);
  }, `${total} bytes at each`);
}

/** Urgent bytes before, in, and behind requests: they are in no stream. */
async function urgent(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count);
  const mark = bytesOf("!");
  for (const [i, each] of all.entries()) {
    const request = siege.target.request(i);
    const cut = i % request.length;
    await siege.send(each, request.slice(0, cut));
    await eventually(() => each.push(mark, 0, 1, MSG_OOB) === 1, "room for an urgent byte");
    await siege.send(each, request.slice(cut));
  }
  for (const [i, each] of all.entries()) await siege.hear(each, i);
  for (const each of all) each.push(mark, 0, 1, MSG_OOB);
}

/** Comes and goes, always more at a time than the server takes. */
async function churn(siege: Siege): Promise<void> {
  for (let n = 0; n < siege.count; n += 16) {
    const all = await siege.connectAll(16);
    for (const [i, each] of all.entries()) {
      if (i % 4 === 3) continue;
      await siege.send(each, siege.target.request(i));
      if (i % 4 === 0) each.end();
    }
    await eventually(() => {
      for (const each of all) each.take();
      return all.some((each) => each.receivedBytes > 0);
    }, "an answer to one of them");
    siege.release(all);
  }
}

/** Comes more often than one address may; all but those that it may have are sent away. */
async function fromOneAddress(siege: Siege): Promise<void> {
  const allowed = siege.server.settings.options!.connectionsPerAddressMax!;
  for (let n = 0; n < siege.count; n += 16) {
    const all = await siege.connectAll(16, { from: ELSEWHERE });
    await eventually(() => {
      for (const each of all) each.take();
      return all.filter((each) => each.isOver).length === 16 - allowed;
    }, "the end of those that are too many");
    const left = all.filter((each) => !each.isOver);
    await Promise.all(left.map(async (each, i) => {
      await siege.send(each, siege.target.request(i));
      await siege.hear(each, i);
    }));
    siege.release(all);
    await eventually(async () => {
      return (await siege.server.report()).active <= 1;
    }, "the end of those that were released");
  }
}

/** Comes until the server has no descriptor left, and stays. */
async function descriptors(siege: Siege): Promise<void> {
  const all = await siege.connectAll(siege.count);
  await eventually(() => {
    for (const each of all) each.take();
    return all.some((each) => each.isOver);
  }, "the end of those for which there is no descriptor");
}

/** All of them. */
export const ATTACKS: readonly Attack[] = [
  { name: "a byte at a time", counts: [4, 200], heldBytes: PART_BYTES, run: byteAtATime },
  { name: "never reading", counts: [3, 100], heldBytes: FULL_BYTES, run: neverReads },
  {
    name: "never reading, under a limit of memory",
    targets: ["echo", "RPC"],
    settings: { memoryBytesMax: 256 * KIB * KIB },
    obstacle: memoryGroupObstacle(),
    counts: [8, 100],
    heldBytes: FULL_BYTES,
    run: neverReads,
  },
  { name: "half-open", counts: [100, 10_000], heldBytes: 0, run: halfOpen },
  { name: "half said", counts: [64, 2000], heldBytes: PART_BYTES, run: halfSaid },
  {
    name: "slowloris",
    targets: ["waiting echo", "HTTP"],
    settings: { options: { readTimeoutMs: 700 } },
    counts: [16, 2000],
    heldBytes: PART_BYTES,
    cutsAll: true,
    run: slowloris,
  },
  { name: "resets at every state", counts: [60, 5000], heldBytes: FULL_BYTES, run: resets },
  { name: "ends at every state", counts: [70, 4000], heldBytes: FULL_BYTES, run: ends },
  {
    name: "what must be refused",
    targets: TARGETS.filter(({ refused }) => refused !== undefined).map(({ name }) => name),
    counts: [2, 100],
    heldBytes: FULL_BYTES,
    run: refused,
  },
  { name: "a flood", counts: [2, 20], heldBytes: FULL_BYTES, run: flood },
  {
    name: "a flood in tiny segments",
    counts: [1, 20],
    heldBytes: FULL_BYTES,
    run: (siege) => flood(siege, 88),
  },
  { name: "urgent data", counts: [16, 1000], heldBytes: PART_BYTES, run: urgent },
  {
    name: "churn at connectionsMax",
    targets: ["echo", "HTTP", "proxy"],
    settings: { options: { connectionsMax: 8 } },
    counts: [64, 10_000],
    heldBytes: FULL_BYTES,
    run: churn,
  },
  {
    name: "churn at connectionsPerAddressMax",
    targets: ["echo", "HTTP"],
    settings: { options: { connectionsPerAddressMax: 4 } },
    counts: [48, 5000],
    heldBytes: FULL_BYTES,
    run: fromOneAddress,
  },
  {
    name: "no descriptor left",
    targets: ["echo", "HTTP"],
    settings: { descriptorsMax: 64 },
    counts: [100, 3000],
    heldBytes: FULL_BYTES,
    run: descriptors,
  },
];

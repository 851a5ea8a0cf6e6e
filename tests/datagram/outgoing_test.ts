import { assertEquals, assertLess } from "@std/assert";
import { test } from "node:test";
import {
  type DatagramOptions,
  type DatagramSocket,
  packPeer,
  type SystemError,
  unpackPeer,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import {
  DATAGRAMS_MAX,
  SEND_REPEATS_MAX,
  TRAIN_SEGMENT_BYTES_SAFE,
} from "../../src/core/limits.ts";
import { datagramSettings } from "../../src/datagram/options.ts";
import { Outgoing, type OutgoingOwner } from "../../src/datagram/outgoing.ts";
import { putPeer } from "../../src/datagram/record.ts";
import { Tally } from "../../src/datagram/tally.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound, bytes, DEAD_ADDRESS, dialled, textOf, texts } from "../support/datagrams.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { clearFaults, failWith, faultTest, shorten, usedFaults } from "../support/faults.ts";
import { withLog } from "../support/datagrams.ts";
import { soon, ticks, until } from "../support/until.ts";

/** An event that goes on is told in each of them. */
const TURNS = 20;
const NAMES = ["a", "b", "c", "d"];

/** Four receivers, and a sender that has written one datagram to each. */
async function four(
  run: (sender: DatagramSocket, receivers: DatagramSocket[], errors: string[]) => Promise<void>,
): Promise<void> {
  const errors: string[] = [];
  const onError: DatagramOptions["onError"] = (error, peer) => {
    const port = peer === null ? 0 : unpackPeer(peer).port;
    errors.push(
      `${(error as SystemError).code} ${
        receivers.findIndex((each) => each.localAddress.port === port)
      }`,
    );
  };
  const receivers = NAMES.map(() => bound({ readTimeoutMs: 3000 }));
  const sender = bound({ onError });
  for (const [i, name] of NAMES.entries()) {
    sender.writeTo(packPeer(textOf(receivers[i]!)), bytes(name));
  }
  try {
    await run(sender, receivers, errors);
  } finally {
    await Promise.all([sender, ...receivers].map((each) => each.close()));
  }
}

for (let place = 0; place < 4; place++) {
  faultTest(
    `send() goes on after a short count of ${place}`,
    () =>
      four(async (sender, receivers, errors) => {
        if (place > 0) shorten("send", place, { fd: sender.fd });
        await sender.flush();
        assertEquals(
          await Promise.all(receivers.map((each) => texts(each, 1))),
          NAMES.map((n) => [n]),
        );
        assertEquals(errors, []);
      }),
  );

  faultTest(
    `send() tells of EMSGSIZE at place ${place}, with its peer, and sends the others`,
    () =>
      four(async (sender, receivers, errors) => {
        failWith("send", ERRNO.EMSGSIZE, { fd: sender.fd, skip: place });
        await sender.flush();
        await until(() => errors.length > 0, "the error is told");
        assertEquals(errors, [`EMSGSIZE ${place}`]);
        for (const [i, each] of receivers.entries()) {
          if (i !== place) assertEquals(await texts(each, 1), [NAMES[i]]);
        }
        assertEquals(sender.queuedCount, 0);
      }),
  );

  for (const errno of [ERRNO.ECONNREFUSED, ERRNO.EHOSTUNREACH, ERRNO.EIO, ERRNO.EPERM]) {
    faultTest(
      `send() repeats what met error ${errno} of another peer, at place ${place}`,
      () =>
        four(async (sender, receivers, errors) => {
          failWith("send", errno, { fd: sender.fd, skip: place });
          await sender.flush();
          for (const [i, each] of receivers.entries()) {
            assertEquals(await texts(each, 1), [NAMES[i]]);
          }
          assertEquals(errors, []);
        }),
    );
  }

  faultTest(
    `send() waits for an event after EAGAIN at place ${place}`,
    () =>
      four(async (sender, receivers) => {
        failWith("send", ERRNO.EAGAIN, { fd: sender.fd, skip: place });
        const flushed = sender.flush();
        assertEquals(sender.queuedCount, 4 - place);
        await soon(flushed);
        for (const [i, each] of receivers.entries()) assertEquals(await texts(each, 1), [NAMES[i]]);
        assertEquals([sender.queuedCount, sender.queuedBytes], [0, 0]);
      }),
  );

  for (const errno of [ERRNO.ENOBUFS, ERRNO.ENOMEM]) {
    faultTest(
      `send() tries again by itself after error ${errno} at place ${place}`,
      () =>
        four(async (sender, receivers, errors) => {
          failWith("send", errno, { fd: sender.fd, skip: place, count: 3 });
          await soon(sender.flush());
          for (const [i, each] of receivers.entries()) {
            assertEquals(await texts(each, 1), [NAMES[i]]);
          }
          assertEquals([usedFaults("send"), sender.metrics().blockedCount, errors], [3, 3, []]);
        }),
    );
  }
}

faultTest(
  "send() drops one datagram, and says why, when the kernel refuses it twice",
  () =>
    four(async (sender, receivers, errors) => {
      failWith("send", ERRNO.EHOSTUNREACH, { fd: sender.fd, skip: 1, count: 2 });
      await sender.flush();
      await until(() => errors.length > 0, "the error is told");
      assertEquals(errors, ["EHOSTUNREACH 1"]);
      assertEquals(sender.metrics().dropped.refused, 1);
      assertEquals(await texts(receivers[2]!, 1), ["c"]);
    }),
);

faultTest(
  "send() offers each datagram twice, also behind one that was dropped",
  () =>
    four(async (sender, receivers, errors) => {
      failWith("send", ERRNO.EHOSTUNREACH, { fd: sender.fd, count: 3 });
      await sender.flush();
      for (const i of [1, 2, 3]) assertEquals(await texts(receivers[i]!, 1), [NAMES[i]]);
      assertEquals(errors, ["EHOSTUNREACH 0"]);
    }),
);

faultTest(
  "send() offers each datagram twice, also behind one that has met an error and left",
  async () => {
    await using one = bound({ readTimeoutMs: 3000 });
    await using other = bound({ readTimeoutMs: 3000 });
    await using sender = bound({ reportUnreachable: true, onError() {} });
    const peers = [one, other].map((each) => packPeer(textOf(each)));
    // The first call fails; the second one ends with a dead peer, whose error meets the third.
    for (let i = 0; i < DATAGRAMS_MAX - 1; i++) sender.writeTo(peers[i % 2]!, bytes("x"));
    sender.writeTo(packPeer(DEAD_ADDRESS), bytes("lost"));
    sender.writeTo(peers[0]!, bytes("last"));
    failWith("send", ERRNO.EHOSTUNREACH, { fd: sender.fd });
    await sender.flush();
    const heard = await texts(one, DATAGRAMS_MAX / 2 + 1);
    assertEquals(heard.at(-1), "last");
    assertEquals(sender.metrics().dropped.refused, 0);
  },
);

faultTest(
  "send() wants no events of room any more, once it has had some",
  () =>
    four(async (sender, receivers) => {
      failWith("send", ERRNO.EAGAIN, { fd: sender.fd });
      await soon(sender.flush());
      for (const [i, each] of receivers.entries()) assertEquals(await texts(each, 1), [NAMES[i]]);
      const { events } = threadPoller().counts;
      await ticks(TURNS);
      assertLess(threadPoller().counts.events - events, TURNS / 2);
    }),
);

faultTest(
  "send() that lacks buffers after it has waited for room waits for its timer alone",
  () =>
    withFakeClock(async (clock) => {
      await using receiver = bound({ readTimeoutMs: 3000 });
      await using sender = await dialled(receiver);
      failWith("send", ERRNO.EAGAIN, { fd: sender.fd });
      sender.write(bytes("x"));
      const flushed = sender.flush();
      failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
      await until(() => usedFaults("send") > 0, "room is told of");
      const { events } = threadPoller().counts;
      await ticks(TURNS);
      assertEquals(usedFaults("send"), 1);
      assertLess(threadPoller().counts.events - events, TURNS / 2);
      clearFaults();
      await clock.advance(5);
      await soon(flushed);
      assertEquals(await texts(receiver, 1), ["x"]);
    }),
);

faultTest("close() cancels the timer of a send that had no room", async () => {
  const before = threadPoller().timerCount;
  const socket = bound();
  socket.writeTo(packPeer(textOf(socket)), bytes("x"));
  failWith("send", ERRNO.ENOBUFS, { fd: socket.fd, count: 1_000_000 });
  void socket.flush();
  assertEquals(threadPoller().timerCount, before + 1);
  await socket.close({ timeoutMs: 0 });
  assertEquals(threadPoller().timerCount, before);
});

for (const errno of [ERRNO.EIO, ERRNO.EINVAL]) {
  for (const place of [0, 1]) {
    faultTest(
      `send() sends a train that meets error ${errno} at ${place} singly, and makes no more`,
      async () => {
        await using receiver = bound({ readTimeoutMs: 3000 });
        await using other = bound();
        const lines = await withLog(async () => {
          await using sender = bound({
            onError: (error) => {
              throw error;
            },
          });
          const to = packPeer(textOf(receiver));
          if (place === 1) sender.writeTo(packPeer(textOf(other)), bytes("x"));
          const names = Array.from({ length: 100 }, (_, i) => `${100 + i}`);
          for (const name of names) sender.writeTo(to, bytes(name));
          failWith("send", errno, { fd: sender.fd, skip: place });
          await sender.flush();
          assertEquals(await texts(receiver, 100), names);
          const { count, messages } = sender.metrics().sent;
          assertEquals([count, messages], [100 + place, 100 + place]);
          for (const name of names.slice(0, 3)) sender.writeTo(to, bytes(name));
          await sender.flush();
          assertEquals(sender.metrics().sent.messages, messages + 3);
          assertEquals(await texts(receiver, 3), names.slice(0, 3));
        });
        assertEquals(lines.length, 1);
      },
    );
  }
}

faultTest(
  "send() still makes trains of short datagrams when only long ones were refused",
  async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    await withLog(async () => {
      await using sender = await dialled(receiver);
      failWith("send", ERRNO.EINVAL, { fd: sender.fd });
      for (let i = 0; i < 3; i++) sender.write(new Uint8Array(5000).fill(i));
      await sender.flush();
      assertEquals((await texts(receiver, 3)).map((text) => text.length), [5000, 5000, 5000]);
      assertEquals(sender.metrics().sent.messages, 3);
      for (let i = 0; i < 3; i++) sender.write(bytes("abc"));
      await sender.flush();
      assertEquals(sender.metrics().sent.messages, 4);
      await texts(receiver, 3);
    });
  },
);

for (const how of ["full", "expired"]) {
  faultTest(
    `a train that was refused and then dropped (${how}) says nothing about the next ones`,
    () =>
      withFakeClock(async (clock) => {
        await using receiver = bound({ readTimeoutMs: 3000 });
        await using socket = bound();
        const refused: number[] = [];
        const owner: OutgoingOwner = {
          fd: socket.fd,
          tally: new Tally(),
          // Asked once the second train was refused: the kernel has no room for what is in it.
          takeErrors: () => {
            if (refused.length === 1) failWith("send", ERRNO.EAGAIN, { fd: socket.fd });
            return 0;
          },
          onRefused: (errno) => refused.push(errno),
          onTrainsRefused(errno) {
            refused.push(errno);
            failWith("send", ERRNO.EIO, { fd: socket.fd });
          },
          wantRoom() {},
          onMoved() {},
          onOffered() {},
        };
        const settings = datagramSettings(
          how === "full"
            ? { onQueueFull: "drop-old", queueCountMax: 6 }
            : { queueLifetimeMs: 1000, queueCountMax: 6 },
        );
        const outgoing = new Outgoing(owner, threadPoller(), settings);
        const { queue } = outgoing;
        const add = (text: string) => {
          const at = outgoing.add(text.length);
          putPeer(queue.table, at, packPeer(text === "b" ? DEAD_ADDRESS : textOf(receiver)));
          queue.lastBlock.slab.bytes.set(bytes(text), queue.lastOffset);
        };
        const long = "long".repeat(500);
        for (const text of [long, long, "b", "b"]) add(text);
        if (how === "expired") clock.block(600);
        for (const text of [long + long, long + long]) add(text);
        failWith("send", ERRNO.EINVAL, { fd: socket.fd });
        outgoing.send();
        assertEquals([refused, outgoing.isBlocked, queue.count], [[ERRNO.EINVAL], true, 4]);
        if (how === "expired") clock.block(600);
        else for (const text of ["x", "xx", "xxx", "xxxx"]) add(text);
        outgoing.onRoom();
        assertEquals([refused, queue.trainSegmentMax], [[ERRNO.EINVAL], TRAIN_SEGMENT_BYTES_SAFE]);
        const rest = how === "full" ? ["x", "xx", "xxx", "xxxx"] : [];
        const expected = [long, long, long + long, long + long, ...rest];
        assertEquals(await texts(receiver, expected.length), expected);
        outgoing.close();
      }),
  );
}

test("send() gives the kernel what does not fit the queue, instead of dropping it", async () => {
  await using receiver = bound({ readTimeoutMs: 3000, receiveBufferBytes: 1 << 20 });
  await using sender = await dialled(receiver, { queueCountMax: 4 });
  for (let i = 0; i < 50; i++) assertEquals(sender.write(bytes(`${i}`)), true);
  await sender.flush();
  assertEquals(await texts(receiver, 50), Array.from({ length: 50 }, (_, i) => `${i}`));
});

for (const onQueueFull of ["drop-new", "drop-old"] as const) {
  faultTest(`a full queue drops by its policy: ${onQueueFull}`, async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    await using sender = await dialled(receiver, { queueCountMax: 3, onQueueFull });
    failWith("send", ERRNO.EAGAIN, { fd: sender.fd, count: 1 });
    const taken = ["a", "b", "c", "d", "e"].map((name) => sender.write(bytes(name)));
    const isNew = onQueueFull === "drop-new";
    assertEquals(taken, [true, true, true, !isNew, !isNew]);
    assertEquals([sender.queuedCount, sender.isWritable], [3, false]);
    await sender.flush();
    assertEquals(await texts(receiver, 3), isNew ? ["a", "b", "c"] : ["c", "d", "e"]);
    assertEquals([sender.isWritable, sender.metrics().dropped.full], [true, 2]);
  });
}

faultTest("the queue is bounded in bytes as well", async () => {
  await using receiver = bound();
  await using sender = await dialled(receiver, { queueBytesMax: 100 });
  failWith("send", ERRNO.EAGAIN, { fd: sender.fd, count: 1 });
  assertEquals(sender.write(new Uint8Array(60)), true);
  assertEquals(sender.write(new Uint8Array(60)), false);
  assertEquals(sender.write(new Uint8Array(40)), true);
  assertEquals([sender.queuedBytes, sender.isWritable], [100, false]);
  await sender.flush();
  assertEquals(sender.isWritable, true);
});

for (const queueCountMax of [1, 2]) {
  faultTest(
    `queueLifetimeMs drops what waited longer, in a queue of ${queueCountMax}`,
    () =>
      withFakeClock(async (clock) => {
        await using receiver = bound();
        await using sender = await dialled(receiver, { queueLifetimeMs: 30_000, queueCountMax });
        failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
        sender.write(bytes("old"));
        const flushed = sender.flush();
        clock.block(31_000);
        assertEquals(sender.write(bytes("new")), true);
        clearFaults();
        await clock.advance(5);
        await soon(flushed);
        assertEquals(await soon(texts(receiver, 1)), ["new"]);
        assertEquals(sender.metrics().dropped.expired, 1);
      }),
  );
}

faultTest(
  "of a train that is refused, and one of whose datagrams is refused, the others leave",
  async () => {
    const errors: unknown[] = [];
    await using receiver = bound({ readTimeoutMs: 3000 });
    await using sender = await dialled(receiver, { onError: (error) => errors.push(error) });
    await withLog(async () => {
      sender.writeTrain(null, bytes("aabbccd"), 2);
      failWith("send", ERRNO.EMSGSIZE, { fd: sender.fd, count: 2 });
      await sender.flush();
    });
    assertEquals(await texts(receiver, 3), ["bb", "cc", "d"]);
    await until(() => errors.length > 0, "the error is told");
    assertEquals([sender.metrics().dropped.refused, sender.metrics().sent.count], [1, 3]);
    sender.writeTrain(null, bytes("eeff"), 2); // it was too long for a path: others may fit theirs
    await sender.flush();
    assertEquals([await texts(receiver, 2), sender.metrics().sent.messages], [["ee", "ff"], 4]);
  },
);

/** Sends three trains from a socket whose error queue has errors of others for so many looks. */
async function amidErrors(
  errno: number,
  lookCount: number,
): Promise<{ got: string[]; messages: number; blocked: number; refused: number[] }> {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using socket = bound();
  const refused: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const owner: OutgoingOwner = {
    fd: socket.fd,
    tally: new Tally(),
    takeErrors: () => usedFaults("send") <= lookCount ? 1 : 0,
    onRefused: (errno) => refused.push(errno),
    onTrainsRefused: (errno) => refused.push(errno),
    wantRoom() {},
    onMoved() {},
    onOffered: () => outgoing.queue.count === 0 && resolve(),
  };
  const outgoing = new Outgoing(owner, threadPoller(), datagramSettings({}));
  const { queue } = outgoing;
  for (const text of ["aa", "aa", "b", "b", "b", "cccc", "ccc"]) {
    const at = outgoing.add(text.length);
    putPeer(queue.table, at, packPeer(textOf(receiver)));
    queue.lastBlock.slab.bytes.set(bytes(text), queue.lastOffset);
  }
  failWith("send", errno, { fd: socket.fd, skip: 1, count: lookCount });
  outgoing.send();
  await soon(promise);
  outgoing.close();
  const { sentCount, sentMessages: messages, blocked } = owner.tally.own;
  return { got: await texts(receiver, sentCount), messages, blocked, refused };
}

for (const errno of [ERRNO.ECONNREFUSED, ERRNO.EHOSTUNREACH, ERRNO.EMSGSIZE]) {
  faultTest(
    `send() offers a train again as often as it meets error ${errno} of others`,
    async () => {
      for (const count of [1, 2, SEND_REPEATS_MAX, SEND_REPEATS_MAX + 1, 3 * SEND_REPEATS_MAX]) {
        const { got, messages, blocked, refused } = await amidErrors(errno, count);
        assertEquals(refused, []);
        assertEquals(got, ["aa", "aa", "b", "b", "b", "cccc", "ccc"]);
        assertEquals([messages, blocked], [3, Math.floor(count / (SEND_REPEATS_MAX + 1))]);
      }
    },
  );
}

faultTest(
  "send() drops what is refused although errors of others come with each refusal",
  async () => {
    const { got, refused } = await amidErrors(ERRNO.EPERM, 2);
    assertEquals([got, refused], [["aa", "aa", "b", "cccc", "ccc"], [ERRNO.EPERM]]);
  },
);

for (const errno of [ERRNO.EIO, ERRNO.EINVAL]) {
  faultTest(`a train whose datagrams meet error ${errno}, too, does not end trains`, async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    const lines = await withLog(async () => {
      const errors: unknown[] = [];
      await using sender = await dialled(receiver, { onError: (error) => errors.push(error) });
      sender.writeTrain(null, bytes("aabb"), 2);
      failWith("send", errno, { fd: sender.fd, count: 5 }); // once as a train, each twice
      await sender.flush();
      await until(() => errors.length === 2, "both are told");
      sender.writeTrain(null, bytes("ccdd"), 2);
      await sender.flush();
      const { sent, dropped } = sender.metrics();
      assertEquals([sent.count, sent.messages, dropped.refused], [2, 1, 2]);
    });
    assertEquals([lines, await texts(receiver, 2)], [[], ["cc", "dd"]]);
  });
}

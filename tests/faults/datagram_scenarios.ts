/**
 * What users do with datagrams, each as a function. Whatever the kernel says: what a write has taken
 * was sent, or is counted and told, and whoever else is served gets his own.
 */
import { assert, assertEquals } from "@std/assert";
import {
  createDatagramSocket,
  datagramPair,
  type DatagramSocket,
  dialDatagram,
  packPeer,
} from "../../mod.ts";
import { bound, DEAD_ADDRESS, dialled } from "../support/datagrams.ts";
import { until } from "../support/until.ts";
import type { Note, Scenario } from "./stage.ts";

/** Datagrams of several sizes, so that some are trains and some are none. */
const SIZES = [0, 1, 64, 64, 64, 1200, 1200, 1200, 700, 9000, 20_000];

/** Its number is in its first byte, if it has one, and the rest follows from it. */
function datagram(number: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (number + i) & 0xff);
}

function assertWhole(bytes: Uint8Array): void {
  const first = bytes[0] ?? 0;
  for (const [i, byte] of bytes.entries()) assertEquals(byte, (first + i) & 0xff, "altered");
}

/** Closes a socket at once; an error that ended it is noted. */
async function closing(
  socket: DatagramSocket,
  note: Note,
  use: (socket: DatagramSocket) => Promise<void>,
): Promise<void> {
  socket.closed.catch(note);
  try {
    await use(socket);
  } finally {
    await socket.close({ timeoutMs: 0 });
  }
}

/** Whether what a socket has taken is accounted for: it was sent, or it was dropped, and is counted. */
function isSettled(socket: DatagramSocket, taken: number): boolean {
  const { sent, dropped: { refused, closed, expired }, queued } = socket.metrics();
  return queued.count === 0 && sent.count + refused + closed + expired === taken;
}

/** Errors of one socket: it has to tell of each datagram that was refused. */
class Told {
  count = 0;
  readonly #note: Note;

  constructor(note: Note) {
    this.#note = note;
  }

  readonly onError = (error: unknown): void => {
    this.count += 1;
    this.#note(error);
  };
}

/** Fails unless each datagram that was refused was told of, as far as there is room for that. */
async function assertTold(socket: DatagramSocket, told: Told): Promise<void> {
  const { dropped: { refused } } = socket.metrics();
  // A train that is refused is one error of many datagrams.
  if (refused > 0) await until(() => told.count > 0, "the error of what was refused");
}

/** Flushes; what is in the way of that is typed, and what was taken is accounted for. */
async function sendAll(socket: DatagramSocket, taken: number): Promise<void> {
  await socket.flush();
  await until(() => isSettled(socket, taken), "all is sent, or counted");
}

/** An echo, and what its handler has answered. */
function echoing(note: Note): { server: DatagramSocket; told: Told; answered(): number } {
  const told = new Told(note);
  let count = 0;
  const server = bound({
    onError: told.onError,
    onDatagram(each) {
      assertWhole(each.bytes);
      if (each.reply(each.bytes)) count += 1;
    },
  });
  return { server, told, answered: () => count };
}

/** Some clients ask, and all that the server has answered comes. */
async function echo(note: Note): Promise<void> {
  const { server, told, answered } = echoing(note);
  await closing(server, note, async () => {
    let heard = 0;
    let sent = 0;
    for (let n = 0; n < 3; n++) {
      const own = new Told(note);
      const client = await dialled(server, {
        onError: own.onError,
        onDatagram({ bytes }) {
          assertWhole(bytes);
          heard += 1;
        },
      });
      await closing(client, note, async () => {
        let taken = 0;
        for (const [i, size] of SIZES.entries()) taken += Number(client.write(datagram(i, size)));
        assertEquals(taken, SIZES.length);
        await sendAll(client, taken);
        await assertTold(client, own);
        sent += client.metrics().sent.count;
        await until(() => server.metrics().received.count === sent, "all that was sent comes");
        await until(() => isSettled(server, answered()), "all answers are sent, or counted");
        await until(() => heard === server.metrics().sent.count, "all answers come");
      });
    }
    await assertTold(server, told);
  });
}

/** Waits, one after the other; a datagram that is lost would end in a deadline. */
async function waits(note: Note): Promise<void> {
  const { server } = echoing(note);
  await closing(server, note, async () => {
    const client = await dialled(server, { readTimeoutMs: 500, writeTimeoutMs: 500 });
    await closing(client, note, async () => {
      for (const [i, size] of SIZES.entries()) {
        client.write(datagram(i, size));
        await client.flush();
        if (client.metrics().dropped.refused > 0 || server.metrics().dropped.refused > 0) return;
        await client.wait();
        const { count } = client.datagrams;
        const { length, bytes } = client.datagrams.at(0);
        assertEquals([count, length], [1, size]);
        assertWhole(bytes);
        client.release();
      }
    });
  });
}

/** Trains to two peers, and slices of them that outlive the handler. */
async function trains(note: Note): Promise<void> {
  const sums = [0, 0];
  const kept: (() => void)[] = [];
  const receivers = [0, 1].map((which) => (use: (socket: DatagramSocket) => Promise<void>) =>
    closing(
      bound({
        receiveBufferBytes: 4 << 20,
        onError: note,
        onDatagrams(datagrams) {
          for (const each of datagrams) {
            assertWhole(each.bytes);
            sums[which]! += 1;
            const slice = each.slice();
            kept.push(() => slice.close());
          }
        },
      }),
      note,
      use,
    )
  );
  const told = new Told(note);
  try {
    await receivers[0]!((one) =>
      receivers[1]!(async (other) => {
        await closing(bound({ onError: told.onError }), note, async (sender) => {
          const train = new Uint8Array(80 * 256).map((_, i) => i & 0xff);
          let taken = 0;
          for (const to of [one, other, one]) {
            taken += sender.writeTrain(packPeer(to.localAddress), train, 256);
            const lent = sender.mallocTo(packPeer(to.localAddress), 512)!;
            lent.set(datagram(7, 100));
            sender.mallocAck(100);
            taken += 1;
          }
          assertEquals(taken, 3 * 81);
          await sendAll(sender, taken);
          await assertTold(sender, told);
          const { sent } = sender.metrics();
          await until(
            () => one.metrics().received.count + other.metrics().received.count === sent.count,
            "all that was sent comes",
          );
        });
      })
    );
  } finally {
    for (const close of kept) close();
  }
}

/** One peer of several is dead, of which the kernel tells. */
async function unreachable(note: Note): Promise<void> {
  const { server } = echoing(note);
  await closing(server, note, async () => {
    const dead = packPeer(DEAD_ADDRESS);
    const told = new Told(note);
    let heard = 0;
    const sender = bound({
      reportUnreachable: true,
      onError: told.onError,
      onDatagram: () => void (heard += 1),
    });
    await closing(sender, note, async () => {
      const live = packPeer(server.localAddress);
      let taken = 0;
      for (let n = 0; n < 6; n++) {
        for (const to of [live, dead, live]) taken += Number(sender.writeTo(to, datagram(n, 100)));
        await sendAll(sender, taken);
      }
      const { dropped } = sender.metrics();
      assert(server.metrics().received.count <= 12);
      await until(
        () => server.metrics().received.count + dropped.refused >= 12,
        "the live one has its own",
      );
      await until(() => heard === server.metrics().sent.count, "all answers come");
    });
  });
}

/** Groups are joined, heard and left. */
async function groups(note: Note): Promise<void> {
  const group = "239.255.43.21";
  let heard = 0;
  const options = {
    multicastInterface: "lo",
    onDatagram: () => void (heard += 1),
    onError: note,
  } as const;
  await closing(createDatagramSocket("udp4", "0.0.0.0:0", options), note, async (socket) => {
    socket.joinGroup(group, { interface: "lo" });
    socket.joinGroup("232.1.2.3", { interface: "lo", source: "127.0.0.1" });
    socket.writeTo(packPeer(`${group}:${socket.localAddress.port}`), datagram(1, 20));
    await sendAll(socket, 1);
    const { sent } = socket.metrics();
    await until(() => heard === sent.count, "it hears the group");
    socket.leaveGroup("232.1.2.3", { interface: "lo", source: "127.0.0.1" });
    socket.leaveGroup(group, { interface: "lo" });
  });
}

/** A name is looked up; a local address is asked for. */
async function dialName(note: Note): Promise<void> {
  const { server } = echoing(note);
  await closing(server, note, async () => {
    const at = `localhost:${server.localAddress.port}`;
    const options = { localAddress: "127.0.0.1:0", readTimeoutMs: 500, timestamps: true };
    await closing(await dialDatagram("udp4", at, options), note, async (client) => {
      client.write(datagram(3, 30));
      await client.flush();
      if (client.metrics().dropped.refused > 0) return;
      await until(() => server.metrics().received.count === 1, "it comes");
      if (server.metrics().dropped.refused > 0 || server.metrics().errorCount > 0) return;
      await client.wait();
      assertWhole(client.datagrams.at(0).bytes);
      client.release();
    });
  });
}

/** Two ends; what one has written when it closes leaves before. */
async function pair(note: Note): Promise<void> {
  const told = new Told(note);
  let heard = 0;
  const [a, b] = datagramPair({ onError: told.onError, queueCountMax: 64 }, {
    onDatagram: () => void (heard += 1),
    onError: note,
  });
  await closing(b, note, async () => {
    let taken = 0;
    try {
      for (let n = 0; n < 100; n++) taken += Number(a.write(datagram(n, 50 + n % 3)));
    } finally {
      const { unsentCount } = await a.close({ timeoutMs: 300 });
      const { sent, dropped: { closed, refused } } = a.metrics();
      assertEquals([unsentCount, sent.count + closed + refused], [closed, taken]);
    }
    await until(() => heard === a.metrics().sent.count, "all that was sent comes");
  });
}

/** All of one thread. */
export const DATAGRAM_SCENARIOS: Readonly<Record<string, Scenario>> = {
  datagramEcho: echo,
  datagramWaits: waits,
  datagramTrains: trains,
  datagramUnreachable: unreachable,
  datagramGroups: groups,
  datagramName: dialName,
  datagramPair: pair,
};

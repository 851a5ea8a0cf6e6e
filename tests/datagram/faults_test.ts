/**
 * Whatever the kernel says, and wherever in a batch: what was taken arrives once, whole and in order,
 * but what the kernel has refused for good, of which `onError` hears.
 */
import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { packPeer } from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { bound, withLog } from "../support/datagrams.ts";
import { clearFaults, failWith, faultTest, shorten } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { seededRandom } from "../support/random.ts";
import { soon, until } from "../support/until.ts";

const ROUNDS = 150;
const random = seededRandom(process.env.SEED);
/** The kernel's words, none of which is the fault of a datagram. The first ones say that it has no room. */
const NO_ROOM: number[] = [ERRNO.EAGAIN, ERRNO.ENOBUFS, ERRNO.ENOMEM];
const PASSING = [
  ...NO_ROOM,
  ERRNO.ECONNREFUSED,
  ERRNO.EHOSTUNREACH,
  ERRNO.ENETUNREACH,
  ERRNO.EIO,
  ERRNO.EPERM,
];
const SIZES = [4, 4, 4, 5, 100, 100, 1200, 1200, 1200, 9000];

/** A datagram says its number in its first four bytes, and the rest follows from it. */
function datagram(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(number & 0xff);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** The numbers that a receiver has heard, in order. */
function hearing(): { socket: ReturnType<typeof bound>; numbers: number[] } {
  const numbers: number[] = [];
  const socket = bound({
    receiveBufferBytes: 8 << 20,
    onDatagram({ bytes }) {
      const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      assert(bytes.subarray(4).every((byte) => byte === (number & 0xff)), "altered");
      numbers.push(number);
    },
    onError: (error) => numbers.push(error as never),
  });
  return { socket, numbers };
}

faultTest(
  `nothing is lost, altered or reordered in ${ROUNDS} rounds of faults (SEED=${random.seed})`,
  () =>
    leaks(async () => {
      const receivers = Array.from({ length: 4 }, hearing);
      const peers = receivers.map(({ socket }) => packPeer(socket.localAddress));
      const expected = receivers.map((): number[] => []);
      const refused: unknown[] = [];
      let number = 0;
      await withLog(async () => {
        await using sender = bound({ onError: (error) => refused.push(error) });
        for (let round = 0; round < ROUNDS; round++) {
          const count = 1 + random.below(80);
          let which = random.below(4);
          for (let i = 0; i < count; i++) {
            if (random.chance(0.3)) which = random.below(4);
            const size = random.pick(SIZES);
            assert(sender.writeTo(peers[which]!, datagram(number, size)));
            expected[which]!.push(number++);
          }
          const skip = random.below(20);
          if (random.chance(0.3)) {
            shorten("send", 1 + random.below(5), { fd: sender.fd, skip, count: 3 });
          } else if (random.chance(0.8)) {
            const errno = random.pick(PASSING);
            const count = NO_ROOM.includes(errno) ? 1 + random.below(4) : 1;
            failWith("send", errno, { fd: sender.fd, skip, count });
          }
          await soon(sender.flush());
          clearFaults();
        }
        assertEquals([sender.queuedCount, sender.queuedBytes], [0, 0]);
        assertEquals(sender.metrics().sent.count, number);
      });
      await until(
        () => receivers.every(({ numbers }, i) => numbers.length >= expected[i]!.length),
        "all",
      );
      assertEquals(receivers.map(({ numbers }) => numbers), expected);
      assertEquals(refused, []);
      for (const { socket } of receivers) await socket.close();
    }),
);

faultTest(
  `a datagram that is too long is skipped wherever it is (SEED=${random.seed})`,
  () =>
    leaks(async () => {
      const { socket, numbers } = hearing();
      const peer = packPeer(socket.localAddress);
      const refused: unknown[] = [];
      await using sender = bound({ segmentation: "off", onError: (_, to) => refused.push(to) });
      for (let round = 0; round < 30; round++) {
        const count = 1 + random.below(150);
        for (let i = 0; i < count; i++) sender.writeTo(peer, datagram(1000 * round + i, 10));
        const skip = random.below(count);
        failWith("send", ERRNO.EMSGSIZE, { fd: sender.fd, skip });
        await sender.flush();
        clearFaults();
        await until(() => refused.length === round + 1, "the error is told");
        await until(() => numbers.length === count - 1, "the others come");
        const all = Array.from({ length: count }, (_, i) => 1000 * round + i);
        assertEquals(numbers, all.filter((each) => each !== 1000 * round + skip));
        numbers.length = 0;
      }
      assertEquals(new Set(refused), new Set([peer]));
      await socket.close();
    }),
);

import { assertEquals, assertRejects } from "@std/assert";
import { EofError } from "../../mod.ts";
import { failWith, faultTest, shorten } from "../support/faults.ts";
import { type Kind, KINDS, receiveAll, sendAll, withLine } from "../support/line.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import { soon, ticks } from "../support/until.ts";

const EINVAL = 22, EMFILE = 24, EAGAIN = 11;
const BIG = 8 << 20;

const REFUSALS: readonly [when: string, kind: Kind, refuse: () => void][] = [
  ["where the kernel cannot splice from a descriptor", "tcp", () => failWith("splice", EINVAL)],
  [
    "where the kernel cannot splice to a descriptor",
    "tcp",
    () => failWith("splice", EINVAL, { skip: 1 }), // the first one fills the pipe
  ],
  [
    "when no descriptor is left for a pipe",
    "unix",
    () => failWith("pipe", EMFILE, { count: 1000 }),
  ],
];

for (const [when, kind, refuse] of REFUSALS) {
  faultTest(`pipe() copies ${when}`, () =>
    withLine(kind, async ({ client, server }, piped) => {
      refuse();
      const bytes = pattern(BIG);
      const [received] = await Promise.all([receiveAll(server), sendAll(client, bytes)]);
      assertBytes(received, bytes);
      await server.closeWrite();
      assertEquals(await soon(piped), { aToB: BIG, bToA: 0 });
    }));
}

faultTest("pipe() goes on after calls that are short or not ready", async () => {
  for (const kind of KINDS) {
    await withLine(kind, async ({ client, server }, piped) => {
      const bytes = pattern(BIG);
      shorten("splice", 777, { skip: 2, count: 20 });
      const receiving = receiveAll(server);
      const sending = sendAll(client, bytes);
      await ticks(20);
      failWith("splice", EAGAIN, { count: 10 });
      const [received] = await Promise.all([receiving, sending]);
      assertBytes(received, bytes);
      await server.closeWrite();
      assertEquals(await soon(piped), { aToB: BIG, bToA: 0 });
    });
  }
});

faultTest(
  "pipe() rejects when the kernel refuses to move bytes",
  () =>
    withLine("tcp", async ({ client, server }, piped) => {
      failWith("splice", 104, { count: 1000 });
      const sending = sendAll(client, pattern(BIG)).catch(() => {});
      await assertRejects(() => soon(piped), EofError);
      await soon(sending);
      await assertRejects(() => soon(receiveAll(server)));
    }),
  "plain bytes", // those of TLS are not moved by the kernel alone
);

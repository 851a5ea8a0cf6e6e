/**
 * A call that the kernel refuses just now, for want of room or of memory, or because of a signal, is
 * no end of a connection: it is made again, and no byte is lost.
 */
import { assertEquals } from "@std/assert";
import { writeFileSync } from "node:fs";
import { createListener, dial, EventLoop, pipe } from "../../mod.ts";
import { type Call, failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { assertBytes, closeAll, pairWith, pattern } from "../support/pair.ts";
import { soon } from "../support/until.ts";

const ERRORS = { EINTR: 4, EAGAIN: 11, ENOMEM: 12, ENOBUFS: 105 } as const;
/** More than the kernel takes in one call. */
const BYTES = 1 << 20;
/** Each call of the kind is refused a few times: the first, and in the middle. */
const FAULTS = [{ count: 3 }, { skip: 2, count: 2 }] as const;

for (const [name, errno] of Object.entries(ERRORS)) {
  // A wait for events lacks no room: only a signal may come in between.
  const calls: Call[] = name === "EINTR" ? ["send", "recv", "epollWait"] : ["send", "recv"];
  for (const call of calls) {
    faultTest(`${name} at ${call} is no end of a connection`, () =>
      leaks(async () => {
        for (const fault of FAULTS) {
          const [a, b] = pairWith();
          failWith(call, errno, fault);
          a.writer.writeBinary(pattern(BYTES));
          const flushed = a.writer.flush();
          await soon(b.reader.wait(BYTES));
          await soon(flushed);
          assertBytes(b.reader.next(BYTES), pattern(BYTES));
          await closeAll(a, b);
        }
      }));
  }

  faultTest(
    `${name} at sendfile and splice takes nothing from a file that a proxy passes on`,
    () =>
      leaks(() =>
        withDirectory(async (directory) => {
          const path = `${directory}/file`;
          writeFileSync(path, pattern(BYTES));
          for (const fault of FAULTS) {
            const [a, front] = pairWith();
            const [back, b] = pairWith();
            failWith("sendfile", errno, fault);
            failWith("splice", errno, fault);
            const piped = pipe(front, back);
            const sent = a.sendFile(path);
            await soon(b.reader.wait(BYTES));
            assertEquals(await soon(sent), BYTES);
            assertBytes(b.reader.next(BYTES), pattern(BYTES));
            await Promise.all([a.closeWrite(), b.closeWrite()]);
            assertEquals(await soon(piped), { aToB: BYTES, bToA: 0 });
            await closeAll(a, b);
          }
        })
      ),
  );
}

faultTest(
  "EINTR at each call that can be interrupted while a connection is made is no failure",
  () =>
    leaks(async () => {
      const calls = ["accept", "connect", "poll", "close", "epollWait"] as const;
      for (const call of calls) failWith(call, ERRORS.EINTR, { count: 2 });
      const loop = new EventLoop(({ reader, writer }) => {
        writer.writeBinary(reader.next(reader.length));
        writer.flush();
        reader.release();
      });
      const listener = createListener("tcp", "127.0.0.1:0");
      const served = loop.serve(listener);
      const client = await dial("tcp", `127.0.0.1:${(listener.address as { port: number }).port}`);
      client.writer.writeString("hello");
      await client.writer.flush();
      await soon(client.reader.wait(5));
      assertEquals(client.reader.readString(5), "hello");
      await closeAll(client);
      await loop.shutdown();
      await served;
    }),
);

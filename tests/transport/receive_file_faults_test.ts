import { assertEquals, assertRejects } from "@std/assert";
import { type Connection, ReceiveFileError, socketPair, SystemError } from "../../mod.ts";
import { clearFaults, failWith, faultTest, shorten } from "../support/faults.ts";
import { assertBytes, closeAll, pattern, receive, tcpPair } from "../support/pair.ts";
import { assertFile, pour, withPath } from "../support/received_file.ts";
import { soon } from "../support/until.ts";

const EINTR = 4,
  EIO = 5,
  EAGAIN = 11,
  ENOMEM = 12,
  EINVAL = 22,
  EMFILE = 24,
  EFBIG = 27,
  ENOSPC = 28;
const SIZE = 1_500_000;

/** Receives a file among other bytes. `inject` makes calls fail. */
async function received(
  [a, b]: [Connection, Connection],
  path: string,
  inject: (b: Connection) => void,
): Promise<void> {
  const bytes = pattern(SIZE);
  inject(b);
  const poured = pour(a, "", bytes, "tail");
  assertEquals(await soon(b.receiveFile(path, SIZE)), SIZE);
  assertFile(path, bytes);
  assertEquals(await soon(receive(b, 4)), "tail");
  await poured;
  await closeAll(a, b);
}

faultTest(
  "receiveFile() goes on after splices that are short, interrupted or not ready",
  () =>
    withPath(async (path) => {
      for (const pair of [socketPair, tcpPair]) {
        for (let skip = 0; skip < 6; skip++) {
          await received(await pair(), path, () => shorten("splice", 777, { skip, count: 9 }));
          for (const errno of [EAGAIN, EINTR, ENOMEM, EINVAL]) {
            await received(await pair(), path, () => failWith("splice", errno, { skip }));
          }
        }
      }
    }),
);

faultTest(
  "receiveFile() reads and writes where nothing can be spliced, and no pipe is left",
  () =>
    withPath(async (path) => {
      const count = 1000;
      await received(await tcpPair(), path, ({ fd }) => failWith("splice", EINVAL, { fd, count }));
      await received(await tcpPair(), path, () => failWith("pipe", EMFILE, { count }));
      await received(await tcpPair(), path, () => {
        failWith("pipe", EMFILE, { count });
        shorten("pwrite", 1000, { count: 50 });
        failWith("recv", EAGAIN, { skip: 1 });
      });
      clearFaults();
    }),
);

faultTest(
  "receiveFile() says what the file has when it takes no more, and loses nothing",
  () =>
    withPath(async (path) => {
      for (const [errno, code] of [[ENOSPC, "ENOSPC"], [EFBIG, "EFBIG"], [EIO, "EIO"]] as const) {
        for (let skip = 0; skip < 5; skip++) {
          const [a, b] = await tcpPair();
          const bytes = pattern(SIZE);
          const poured = pour(a, "", bytes, "tail");
          // The pipe's way out fails, and so does the write that is tried after it.
          failWith("spliceFile", errno, { skip });
          shorten("splice", 200_000, { count: 6 });
          failWith("pwrite", errno);
          const error = await assertRejects(
            () => soon(b.receiveFile(path, SIZE)),
            ReceiveFileError,
          );
          assertEquals((error.cause as SystemError).code, code);
          assertFile(path, bytes.subarray(0, error.writtenBytes));
          const rest = SIZE - error.writtenBytes;
          await soon(b.reader.wait(rest));
          assertBytes(b.reader.next(rest), bytes.subarray(error.writtenBytes));
          assertEquals(await soon(receive(b, 4)), "tail");
          await poured;
          await closeAll(a, b);
          clearFaults();
        }
      }
    }),
);

faultTest(
  "receiveFile() says that the file cannot be closed: some file systems fail only there",
  () =>
    withPath(async (path) => {
      const [a, b] = socketPair();
      const poured = pour(a, "", pattern(100), "tail");
      await b.reader.wait(100);
      failWith("close", ENOSPC);
      const error = await assertRejects(() => soon(b.receiveFile(path, 100)), ReceiveFileError);
      assertEquals([error.writtenBytes, (error.cause as SystemError).syscall], [100, "close"]);
      assertEquals(await soon(receive(b, 4)), "tail");
      await poured;
      await closeAll(a, b);
    }),
);

faultTest(
  "receiveFile() throws when no descriptor is left, and receives nothing",
  () =>
    withPath(async (path) => {
      const [a, b] = socketPair();
      const poured = pour(a, "", pattern(4), "");
      failWith("fcntl", EMFILE);
      const error = await assertRejects(() => b.receiveFile(path, 4), SystemError);
      assertEquals(error.code, "EMFILE");
      assertEquals(await soon(b.receiveFile(path, 4)), 4);
      await poured;
      await closeAll(a, b);
    }),
);

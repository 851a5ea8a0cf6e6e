import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EofError, SendFileError, socketPair, SystemError } from "../../mod.ts";
import { failWith, faultTest, shorten } from "../support/faults.ts";
import { assertBytes, closeAll, receive, send, tcpPair } from "../support/pair.ts";
import { take, withFile } from "../support/sent_file.ts";
import { soon } from "../support/until.ts";

const EINVAL = 22, EIO = 5, EPIPE = 32, ECONNRESET = 104, EAGAIN = 11;

faultTest(
  "sendFile() reads and sends, where the kernel has no sendfile for the file",
  () =>
    withFile(3 << 20, async (path, bytes) => {
      for (const [a, b] of [socketPair(), await tcpPair()]) {
        failWith("sendfile", EINVAL, { fd: a.fd });
        shorten("pread", 1000, { count: 3 });
        a.writer.writeString("head");
        const sent = a.sendFile(path);
        const behind = send(a, "tail");
        assertEquals(await receive(b, 4), "head");
        assertBytes(await take(b, bytes.length), bytes);
        assertEquals(await receive(b, 4), "tail");
        assertEquals(await soon(sent), bytes.length);
        await soon(behind);
        await closeAll(a, b);
      }
    }),
);

faultTest(
  "sendFile() goes on after short calls and calls that are not ready",
  () =>
    withFile(1 << 20, async (path, bytes) => {
      const [a, b] = socketPair();
      shorten("sendfile", 777, { fd: a.fd, count: 20 });
      const sent = a.sendFile(path);
      failWith("sendfile", EAGAIN, { fd: a.fd, skip: 3, count: 4 });
      assertBytes(await take(b, bytes.length), bytes);
      assertEquals(await soon(sent), bytes.length);
      await closeAll(a, b);
    }),
);

faultTest(
  "sendFile() says that the file cannot be read, and how much had been sent",
  () =>
    withFile(1 << 20, async (path) => {
      for (const skip of [0, 1]) {
        const [a, b] = socketPair();
        failWith("sendfile", EIO, { fd: a.fd, skip });
        if (skip > 0) shorten("sendfile", 1000, { fd: a.fd, count: 1 });
        failWith("pread", EIO);
        if (skip > 0) {
          const sent = a.sendFile(path);
          failWith("sendfile", EIO, { fd: a.fd });
          const error = await assertRejects(() => soon(sent), SendFileError);
          assertEquals([error.sentBytes, (error.cause as SystemError).code], [1000, "EIO"]);
          await assertRejects(() => soon(a.closed), SendFileError);
        } else {
          const error = await assertRejects(() => soon(a.sendFile(path)), SendFileError);
          assertEquals([error.sentBytes, (error.cause as SystemError).code], [0, "EIO"]);
          await send(a, "goes on");
          assertEquals(await soon(receive(b, 7)), "goes on");
        }
        await closeAll(a, b);
      }
    }),
);

faultTest(
  "sendFile() tells a stream that is broken from a file that is",
  () =>
    withFile(1000, async (path) => {
      for (const [errno, code] of [[EPIPE, "EPIPE"], [ECONNRESET, "ECONNRESET"]] as const) {
        const [a, b] = socketPair();
        failWith("sendfile", errno, { fd: a.fd });
        const error = await assertRejects(() => soon(a.sendFile(path)), EofError);
        assertEquals((error.cause as SystemError).code, code);
        assertThrows(() => a.writer.writeString("more"), EofError);
        await closeAll(a, b);
      }
    }),
);

faultTest("sendFile() throws when no descriptor is left", () =>
  withFile(10, async (path) => {
    const [a, b] = socketPair();
    failWith("fcntl", 24);
    const error = await assertRejects(() => a.sendFile(path), SystemError);
    assertEquals(error.code, "EMFILE");
    await closeAll(a, b);
  }));

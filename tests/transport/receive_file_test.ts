import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { test } from "node:test";
import { ReceiveFileError, socketPair, SystemError } from "../../mod.ts";
import { descriptorCount } from "../support/leaks.ts";
import { closeAll, pattern, receive, send, tcpPair } from "../support/pair.ts";
import { assertFile, pour, withPath } from "../support/received_file.ts";
import { soon } from "../support/until.ts";

/** More than one event moves. */
const LARGE = 5_000_000;

test("receiveFile() splices what comes, over TCP and a Unix socket", () =>
  withPath(async (path) => {
    const bytes = pattern(LARGE);
    for (const [a, b] of [socketPair(), await tcpPair()]) {
      const poured = pour(a, "head", bytes, "tail");
      assertEquals(await receive(b, 4), "head");
      assertEquals(await soon(b.receiveFile(path, LARGE)), LARGE);
      assertEquals(await soon(receive(b, 4)), "tail");
      assertFile(path, bytes);
      await poured;
      await closeAll(a, b);
    }
  }));

test("receiveFile() empties a file that it is given by its path, unless `offset` is given", () =>
  withPath(async (path) => {
    const [a, b] = socketPair();
    writeFileSync(path, "0123456789");
    await send(a, "abcdef");
    assertEquals(await soon(b.receiveFile(path, 2)), 2);
    assertEquals(readFileSync(path, "utf8"), "ab");
    writeFileSync(path, "0123456789");
    assertEquals(await soon(b.receiveFile(path, 2, { offset: 3 })), 2);
    assertEquals(readFileSync(path, "utf8"), "012cd56789");
    assertEquals(await soon(b.receiveFile(path, 1, { offset: 0 })), 1);
    assertEquals(readFileSync(path, "utf8"), "e12cd56789");
    assertEquals(await soon(b.receiveFile(path, 1, { offset: 12 })), 1);
    assertEquals(readFileSync(path, "utf8"), "e12cd56789\0\0f");
    assertEquals(await soon(b.receiveFile(path, 0)), 0);
    assertEquals(statSync(path).size, 0);
    await closeAll(a, b);
  }));

test("receiveFile() of a descriptor leaves it open, and its position where it was", () =>
  withPath(async (path) => {
    const [a, b] = socketPair();
    const fd = openSync(path, "w+");
    try {
      const poured = pour(a, "", pattern(100_000), "");
      assertEquals(await soon(b.receiveFile(fd, 40_000)), 40_000);
      assertEquals(await soon(b.receiveFile(fd, 60_000, { offset: 40_000 })), 60_000);
      await poured;
      assertFile(path, pattern(100_000));
      assertEquals(readSync(fd, new Uint8Array(10), 0, 10, null), 10);
      writeSync(fd, "here");
      assertEquals(readFileSync(path, "latin1").slice(10, 14), "here");
    } finally {
      closeSync(fd);
    }
    await closeAll(a, b);
  }));

test("receiveFile() may have its descriptor closed, and its number given to another file, meanwhile", () =>
  withPath(async (path) => {
    const [a, b] = socketPair();
    const fd = openSync(path, "w");
    const received = b.receiveFile(fd, 50_000);
    closeSync(fd);
    const other = openSync(`${path}.other`, "w");
    await pour(a, "", pattern(50_000), "");
    assertEquals(await soon(received), 50_000);
    assertFile(path, pattern(50_000));
    assertEquals(fstatSync(other).size, 0);
    closeSync(other);
    await closeAll(a, b);
  }));

test("receiveFile() appends to a file that was opened to be appended to", () =>
  withPath(async (path) => {
    writeFileSync(path, "before");
    const [a, b] = socketPair();
    const fd = openSync(path, "a");
    const poured = pour(a, "", pattern(100_000), "");
    assertEquals(await soon(b.receiveFile(fd, 100_000)), 100_000);
    closeSync(fd);
    const bytes = readFileSync(path);
    assertEquals(bytes.subarray(0, 6).toString(), "before");
    writeFileSync(path, bytes.subarray(6));
    assertFile(path, pattern(100_000));
    await poured;
    await closeAll(a, b);
  }));

test("receiveFile() counts positions beyond 4 GiB", () =>
  withPath(async (path) => {
    const far = 2 ** 32 * 1.5;
    for (const onBytes of [undefined, () => {}]) {
      const [a, b] = socketPair();
      const poured = pour(a, "", pattern(300_000), "");
      const received = b.receiveFile(path, 300_000, { offset: far - 150_000, onBytes });
      assertEquals(await soon(received), 300_000);
      assertEquals(statSync(path).size, far + 150_000);
      const fd = openSync(path, "r");
      const bytes = new Uint8Array(300_000);
      assertEquals(readSync(fd, bytes, 0, 300_000, far - 150_000), 300_000);
      closeSync(fd);
      writeFileSync(path, bytes);
      assertFile(path, pattern(300_000));
      await poured;
      await closeAll(a, b);
    }
  }));

test("receiveFile() throws a RangeError for what is no number of bytes, and opens nothing", () =>
  withPath(async (path) => {
    const [a, b] = socketPair();
    for (const bytes of [NaN, -1, 0.5, Infinity, 2 ** 53, "5" as unknown as number, undefined!]) {
      await assertRejects(() => b.receiveFile(path, bytes), RangeError);
    }
    for (const offset of [NaN, -1, 0.5, Infinity, 2 ** 53 - 1]) {
      await assertRejects(() => b.receiveFile(path, 5, { offset }), RangeError);
    }
    await assertRejects(() => b.receiveFile(path, 5, { onBytes: 5 as never }), TypeError);
    assert(!existsSync(path));
    await send(a, "goes on");
    assertEquals(await receive(b, 7), "goes on");
    await closeAll(a, b);
  }));

test("receiveFile() throws for what cannot be written, and the connection goes on", () =>
  withPath(async (path, directory) => {
    const [a, b] = socketPair();
    await send(a, "bytes");
    await b.reader.wait(5);
    writeFileSync(path, "");
    mkdirSync(`${directory}/below`);
    const reading = openSync(path, "r");
    const before = descriptorCount();
    const wrong: [string | number, string][] = [
      [`${directory}/none/file`, "ENOENT"],
      [`${path}/below`, "ENOTDIR"],
      [directory, "EISDIR"],
      [`${directory}/${"x".repeat(256)}`, "ENAMETOOLONG"],
      [reading, "EBADF"],
      [b.fd, "ESPIPE"],
      [100_000, "EBADF"],
    ];
    for (const [file, code] of wrong) {
      const error = await assertRejects(() => b.receiveFile(file, 5), SystemError);
      assertEquals(error.code, code, `${file}`);
    }
    for (const file of [-1, 0.5, "", "a\0b", null, undefined, {}]) {
      await assertRejects(() => b.receiveFile(file as string, 5), TypeError);
    }
    assertEquals(descriptorCount(), before);
    closeSync(reading);
    assertEquals(b.reader.readString(5), "bytes");
    await closeAll(a, b);
  }));

test("receiveFile() says how much a full device took, and the rest stays readable", () =>
  withPath(async () => {
    for (const size of [5, 200_000]) {
      const [a, b] = socketPair();
      const poured = pour(a, "", pattern(size), "tail");
      const error = await assertRejects(
        () => soon(b.receiveFile("/dev/full", size)),
        ReceiveFileError,
      );
      assertEquals([error.writtenBytes, (error.cause as SystemError).code], [0, "ENOSPC"]);
      assertEquals(await soon(b.receiveFile("/dev/null", size)), size);
      assertEquals(await soon(receive(b, 4)), "tail");
      await poured;
      await closeAll(a, b);
    }
  }));

test("receiveFile() receives two files at once, of two connections", () =>
  withPath(async (path) => {
    const pairs = [socketPair(), await tcpPair()];
    const bytes = pattern(LARGE);
    await Promise.all(pairs.map(async ([a, b], n) => {
      const poured = pour(a, "", bytes, "");
      assertEquals(await soon(b.receiveFile(`${path}${n}`, LARGE)), LARGE);
      assertFile(`${path}${n}`, bytes);
      await poured;
      await closeAll(a, b);
    }));
  }));

import { assertEquals, assertThrows } from "@std/assert";
import { closeSync, constants, openSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { SystemError } from "../../mod.ts";
import { statOf } from "../../src/net/descriptor.ts";
import { checkFileBytes, openFile } from "../../src/transport/open_file.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";

const asked: string[] = [];
const READ = {
  call: "try",
  flags: constants.O_RDONLY,
  permit: (path: string) => void asked.push(path),
};

test("openFile() opens a path, for which it asks, or a descriptor again", () =>
  leaks(() =>
    withDirectory((directory) => {
      const path = `${directory}/file`;
      writeFileSync(path, "12345");
      const byPath = openFile(path, READ);
      assertEquals([byPath.name, statOf(byPath.fd, "stat").bytes, asked.splice(0)], [path, 5, [
        path,
      ]]);
      native.close(byPath.fd);
      const fd = openSync(path, "r");
      const again = openFile(fd, READ);
      closeSync(fd);
      assertEquals([again.name, statOf(again.fd, "stat").bytes], [`descriptor ${fd}`, 5]);
      assertEquals(asked, []);
      native.close(again.fd);
      return Promise.resolve();
    })
  ));

test("openFile() makes a new file that others may use as the umask says", () =>
  withDirectory((directory) => {
    const path = `${directory}/file`;
    const { fd } = openFile(path, { ...READ, flags: constants.O_WRONLY | constants.O_CREAT });
    assertEquals(statSync(path).mode & 0o777, 0o666 & ~process.umask());
    native.close(fd);
  }));

test("openFile() names the call in what it throws", () => {
  assertThrows(() => openFile("", READ), TypeError, "Cannot try a file: its path is empty");
  assertThrows(() => openFile("a\0", READ), TypeError, "zero byte");
  assertThrows(() => openFile(-1, READ), TypeError, "neither a path nor a descriptor");
  const error = assertThrows(() => openFile(100_000, READ), SystemError);
  assertEquals([error.syscall, error.code], ["try", "EBADF"]);
  assertThrows(() => openFile("/nowhere/file", READ), SystemError, "ENOENT");
  const refusal = new Error("not you");
  const permit = () => {
    throw refusal;
  };
  assertEquals(assertThrows(() => openFile("/nowhere", { ...READ, permit })), refusal);
});

test("checkFileBytes() takes whole numbers from 0 on", () => {
  for (const bytes of [0, 1, Number.MAX_SAFE_INTEGER]) checkFileBytes("try", "bytes", bytes);
  for (const bytes of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => checkFileBytes("try", "bytes", bytes), RangeError, "Cannot try a file");
  }
});

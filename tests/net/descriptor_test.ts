import { assertEquals, assertThrows } from "@std/assert";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { SystemError } from "../../mod.ts";
import { closeOriginal, FileType, isDescriptor, statOf } from "../../src/net/descriptor.ts";
import { descriptorCount } from "../support/leaks.ts";
import { libraryPath } from "../support/library.ts";

test("isDescriptor() is true for whole numbers from 0 to 2^31 - 1, and for nothing else", () => {
  for (const fd of [0, 1, 1024, 2 ** 31 - 1]) assertEquals(isDescriptor(fd), true, `${fd}`);
  for (const no of [-1, 1.5, NaN, Infinity, 2 ** 31, 2 ** 32 + 5, "5", null, undefined, 5n, [5]]) {
    assertEquals(isDescriptor(no), false, `${no}`);
  }
});

test("statOf() tells files, directories and what is neither apart, and how large a file is", () => {
  const file = openSync(libraryPath, "r");
  const { size } = statSync(libraryPath);
  assertEquals(statOf(file, "look at"), { type: FileType.REGULAR, bytes: size });
  const directory = openSync("/", "r");
  assertEquals(statOf(directory, "look at").type, FileType.DIRECTORY);
  const counter = native.eventfd();
  assertEquals(statOf(counter, "look at").type, FileType.NONE);
  native.close(counter);
  for (const fd of [file, directory]) closeSync(fd);
  assertThrows(() => statOf(1_000_000, "look at"), SystemError, "Cannot look at");
});

test("closeOriginal() closes what the runtime has opened, and what it knows nothing of", () => {
  const held = descriptorCount();
  closeOriginal(openSync(libraryPath, "r"));
  closeOriginal(native.eventfd());
  assertEquals(descriptorCount(), held);
  // A number that the runtime had closed twice would be closed under this one.
  const file = openSync(libraryPath, "r");
  assertEquals(readSync(file, new Uint8Array(4), 0, 4, 0), 4);
  closeSync(file);
  assertThrows(() => closeSync(file));
});

test("closeOriginal() leaves standard input, output and errors open", () => {
  for (const fd of [0, 1, 2]) {
    closeOriginal(fd);
    fstatSync(fd);
  }
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { SystemError } from "../../mod.ts";
import { Family, rawAddress, rawFromNumeric } from "../../src/net/address.ts";
import { listen, listenUnix, open, removeFile } from "../../src/net/listening.ts";
import { getOption, Option } from "../../src/net/socket.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";

test("open() gives a socket that listens, and listen() changes how many may wait", () =>
  leaks(() => {
    const fd = open(rawFromNumeric("127.0.0.1", 0), {}, { v6Only: false, origin: "written" });
    assertEquals(getOption(fd, Option.ACCEPTS), 1);
    listen(fd, "it", { backlog: 3 });
    const name = rawAddress();
    assertEquals([native.name(fd, 0, name), name[0]], [0, Family.IPV4]);
    native.close(fd);
    assertThrows(() => listen(1_000_000, "it", {}), SystemError, "listen on it");
  }));

test("listenUnix() replaces the file of a server that died, and of no other", () =>
  leaks(() =>
    withDirectory((directory) => {
      const path = join(directory, "socket");
      native.close(listenUnix(path, {})); // as if it had died
      assert(existsSync(path));
      const fd = listenUnix(path, { mode: 0o600 });
      assertEquals(statSync(path).mode & 0o777, 0o600);
      assertThrows(() => listenUnix(path, {}), SystemError, "in use");
      native.close(fd);
      removeFile(path);
      removeFile(path);
      assert(!existsSync(path));
    })
  ));

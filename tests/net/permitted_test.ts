import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { Family, rawAddress, rawFromNumeric } from "../../src/net/address.ts";
import { bind, checkPermitted, connect } from "../../src/net/permitted.ts";
import { ERRNO } from "../../src/core/errno.ts";

test("checkPermitted() lets a program pass that may do everything", () => {
  for (const hostname of ["127.0.0.1", "::1", "fe80::1%1", "::ffff:127.0.0.1"]) {
    checkPermitted(rawFromNumeric(hostname, 80), "written");
    checkPermitted(rawFromNumeric(hostname, 80), "stands for what was granted");
  }
});

test("bind() and connect() return what the kernel says", () => {
  const [server, client] = [native.socket(Family.IPV4), native.socket(Family.IPV4)];
  try {
    assertEquals(bind(server, rawFromNumeric("127.0.0.1", 0), "written"), 0);
    const raw = rawAddress();
    native.name(server, 0, raw);
    assertEquals(bind(client, raw, "written"), -ERRNO.EADDRINUSE);
    assertEquals(native.listen(server, 1), 0);
    const begun = connect(client, raw, "written");
    assertEquals(begun === 0 || begun === -ERRNO.EINPROGRESS, true, String(begun));
  } finally {
    native.close(server);
    native.close(client);
  }
});

import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { EofError, SystemError, TlsError } from "../../mod.ts";
import { ERRNO, nameOf } from "../../src/core/errno.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { socketTransport } from "../../src/transport/descriptor.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import { endOf, lostError } from "../../src/transport/lost.ts";

test("endOf() a receive is null in order, and what broke the connection otherwise", () => {
  const endpoint = new Endpoint(threadPoller(), socketTransport, -1, { local: null, remote: null });
  assertEquals(endOf(endpoint, 0), null);
  const cause = endOf(endpoint, -ERRNO.ECONNRESET);
  assertInstanceOf(cause, SystemError);
  assertEquals([cause.syscall, cause.errno], ["receive", ERRNO.ECONNRESET]);
});

test("lostError() is an EofError that says what the peer or the network did, with its cause", () => {
  const told: [errno: number, message: string][] = [
    [104, "Cannot go on: the peer has reset the connection"],
    [32, "Cannot go on: the peer has closed the connection"],
    [110, "Cannot go on: the kernel's own time ran out"],
    [113, "Cannot go on: no route to the host"],
  ];
  for (const [errno, message] of told) {
    const cause = new SystemError("send", errno);
    const error = lostError(cause);
    assertEquals([error instanceof EofError, error.message], [true, message]);
    assertStrictEquals(error.cause, cause);
  }
});

test("lostError() of an error of this machine is that error, and blames no peer", () => {
  for (const errno of [1, 4, 9, 12, 14, 22, 105]) {
    const cause = new SystemError("send", errno);
    assertStrictEquals(lostError(cause), cause, nameOf(errno));
  }
});

test("lostError() of TLS is an EofError with TLS's words, and that as its cause", () => {
  const cause = new TlsError("truncated", "Cannot receive: it was cut");
  const error = lostError(cause);
  assertEquals([error instanceof EofError, error.message], [true, "Cannot receive: it was cut"]);
  assertStrictEquals(error.cause, cause);
});

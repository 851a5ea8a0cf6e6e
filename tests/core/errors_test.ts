import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  EofError,
  FrameError,
  LoadError,
  NetpollError,
  SendFileError,
  SystemError,
  TimeoutError,
} from "../../src/core/errors.ts";

const ALL: Readonly<Record<string, Error>> = {
  NetpollError: new NetpollError("on purpose"),
  ClosedError: new ClosedError("on purpose"),
  EofError: new EofError("on purpose"),
  TimeoutError: new TimeoutError("read", 5),
  FrameError: new FrameError("malformed", 3, "on purpose"),
  LoadError: new LoadError("platform", "on purpose"),
  BusyError: new BusyError("on purpose"),
  SystemError: new SystemError("readv", 104),
  SendFileError: new SendFileError("on purpose", 5),
};

test("each error is a NetpollError, and its name is that of its class", () => {
  for (const [name, error] of Object.entries(ALL)) {
    assertInstanceOf(error, NetpollError);
    assertEquals([error.name, error.constructor.name], [name, name]);
  }
});

test("EofError alone is a ClosedError too: it can be told apart from every other one", () => {
  const closed = Object.keys(ALL).filter((name) => ALL[name] instanceof ClosedError);
  assertEquals(closed, ["ClosedError", "EofError"]);
});

test("LoadError says why netpoll cannot run, for a program and for a reader", () => {
  const error = new LoadError("runtime", "it needs another");
  assertEquals([error.reason, error.message], ["runtime", "Cannot load netpoll: it needs another"]);
});

test("TimeoutError says which operation missed a deadline of how long", () => {
  const error = new TimeoutError("dial", 250);
  assertEquals(error.operation, "dial");
  assertEquals(error.message, "The connection was not there within 250 ms");
});

test("SystemError says what could not be done, with what, and why", () => {
  const error = new SystemError("bind", 98, "127.0.0.1:80");
  assertEquals([error.syscall, error.errno, error.code], ["bind", 98, "EADDRINUSE"]);
  assertEquals(error.message, "Cannot bind 127.0.0.1:80: the address is in use (EADDRINUSE)");
  assertEquals(
    new SystemError("bind", 98).message,
    "Cannot bind: the address is in use (EADDRINUSE)",
  );
});

test("SystemError with a number that nobody knows has a code all the same", () => {
  assertEquals(new SystemError("readv", 4095).code, "E4095");
});

test("SendFileError says how many bytes were sent", () => {
  assertEquals(new SendFileError("on purpose", 5).sentBytes, 5);
});

test("errors keep their cause", () => {
  const cause = new SystemError("readv", 104);
  assertStrictEquals(new EofError("The peer ended", { cause }).cause, cause);
  assertStrictEquals(new TimeoutError("read", 5, { cause }).cause, cause);
  assertStrictEquals(new SystemError("sendmsg", 32, "", { cause }).cause, cause);
});

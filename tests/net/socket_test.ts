import { assert, assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { EventLoop } from "../../mod.ts";
import { SystemError } from "../../src/core/errors.ts";
import { Family, rawFromNumeric } from "../../src/net/address.ts";
import {
  applyOptions,
  checkKeepAlive,
  checkSocketOptions,
  cut,
  getOption,
  Option,
  resetOnClose,
  setCork,
  setOption,
  socketError,
  socketErrorIfAny,
  type SocketOptions,
} from "../../src/net/socket.ts";

/** A socket that nobody has bound, for as long as the call runs. */
function withSocket<T>(family: number, run: (fd: number) => T): T {
  const fd = native.socket(family);
  assert(fd >= 0);
  try {
    return run(fd);
  } finally {
    native.close(fd);
  }
}

test("setOption() and getOption() agree", () =>
  withSocket(Family.IPV4, (fd) => {
    assertEquals(getOption(fd, Option.TYPE), 1); // SOCK_STREAM
    assertEquals(getOption(fd, Option.NO_DELAY), 0);
    setOption(fd, Option.NO_DELAY, 1);
    assertEquals(getOption(fd, Option.NO_DELAY), 1);
    assertEquals(getOption(fd, Option.ERROR), 0);
  }));

test("setOption() and getOption() throw what the kernel says", () => {
  assertEquals(assertThrows(() => getOption(-1, Option.TYPE), SystemError).code, "EBADF");
  assertEquals(assertThrows(() => setOption(1 << 20, Option.TYPE, 1), SystemError).code, "EBADF");
  withSocket(Family.UNIX, (fd) => {
    const error = assertThrows(() => setOption(fd, Option.NO_DELAY, 1), SystemError);
    assertEquals([error.code, error.syscall], ["EOPNOTSUPP", "set a socket option"]);
  });
  const event = native.eventfd();
  assertEquals(assertThrows(() => getOption(event, Option.TYPE), SystemError).code, "ENOTSOCK");
  native.close(event);
});

test("applyOptions() sets noDelay unless told otherwise (netpoll 98)", () => {
  const noDelay = (options: SocketOptions) =>
    withSocket(Family.IPV4, (fd) => {
      applyOptions(fd, Family.IPV4, options);
      return getOption(fd, Option.NO_DELAY);
    });
  assertEquals([noDelay({}), noDelay({ noDelay: true }), noDelay({ noDelay: false })], [1, 1, 0]);
});

test("applyOptions() sets each option where it belongs", () => {
  for (const family of [Family.IPV4, Family.IPV6]) {
    withSocket(family, (fd) => {
      applyOptions(fd, family, {
        keepAlive: { idleMs: 61_000, intervalMs: 7_000, count: 5 },
        userTimeoutMs: 12_345,
        sendBufferBytes: 100_000,
        receiveBufferBytes: 50_000,
        notSentLowWaterBytes: 16_384,
        typeOfService: 0xb8,
        priority: 3,
        freeBind: true,
      });
      assertEquals(getOption(fd, Option.KEEP_ALIVE), 1);
      assertEquals(getOption(fd, Option.KEEP_IDLE), 61);
      assertEquals(getOption(fd, Option.KEEP_INTERVAL), 7);
      assertEquals(getOption(fd, Option.KEEP_COUNT), 5);
      assertEquals(getOption(fd, Option.USER_TIMEOUT), 12_345);
      assertEquals(getOption(fd, Option.SEND_BUFFER), 200_000); // the kernel doubles it (socket(7))
      assertEquals(getOption(fd, Option.RECEIVE_BUFFER), 100_000);
      assertEquals(getOption(fd, Option.NOT_SENT_LOW_WATER), 16_384);
      assertEquals(getOption(fd, Option.TYPE_OF_SERVICE), 0xb8);
      assertEquals(getOption(fd, Option.FREE_BIND), 1);
      if (family === Family.IPV6) assertEquals(getOption(fd, Option.TRAFFIC_CLASS), 0xb8);
    });
  }
});

test("applyOptions() sets the priority it is told, type of service or not", () => {
  for (const options of [{ priority: 3 }, { priority: 3, typeOfService: 0xb8 }]) {
    withSocket(Family.IPV4, (fd) => {
      applyOptions(fd, Family.IPV4, options);
      assertEquals(getOption(fd, Option.PRIORITY), 3, JSON.stringify(options));
    });
  }
});

test("applyOptions() takes keepAlive as a yes or a no, too", () => {
  for (const [keepAlive, expected] of [[true, 1], [false, 0], [{}, 1]] as const) {
    withSocket(Family.IPV4, (fd) => {
      applyOptions(fd, Family.IPV4, { keepAlive });
      assertEquals(getOption(fd, Option.KEEP_ALIVE), expected);
    });
  }
});

test("applyOptions() passes over what Unix sockets do not have", () =>
  withSocket(Family.UNIX, (fd) => {
    applyOptions(fd, Family.UNIX, {
      noDelay: true,
      keepAlive: true,
      userTimeoutMs: 1000,
      notSentLowWaterBytes: 1,
      typeOfService: 8,
      freeBind: true,
      sendBufferBytes: 100_000,
    });
    assertEquals(getOption(fd, Option.SEND_BUFFER), 200_000);
  }));

test("applyOptions() refuses numbers that mean nothing", () => {
  const bad: SocketOptions[] = [
    { userTimeoutMs: -1 },
    { userTimeoutMs: NaN },
    { sendBufferBytes: 1.5 },
    { receiveBufferBytes: 2 ** 31 },
    { notSentLowWaterBytes: Infinity },
    { priority: 7 },
    { mark: -1 },
    { typeOfService: 256 },
    { keepAlive: { idleMs: 999 } },
    { keepAlive: { intervalMs: NaN } },
    { keepAlive: { count: 128 } },
    { keepAlive: { count: 0 } },
    { keepAlive: { idleMs: 32_768_000 } },
    { keepAlive: { intervalMs: Infinity } },
  ];
  for (const options of bad) {
    withSocket(Family.IPV4, (fd) => {
      const error = assertThrows(() => applyOptions(fd, Family.IPV4, options), RangeError);
      const name = Object.keys(options)[0]!;
      assert(error.message.startsWith(`Cannot set ${name}`), error.message);
    });
  }
});

test("socketError() is what went wrong, once; and a broken pipe when the kernel has no word for it", () =>
  withSocket(Family.IPV4, (fd) => {
    assertEquals(socketError(fd).code, "EPIPE");
  }));

test("socketErrorIfAny() is null where the kernel has no word for it, and reads it once", () => {
  withSocket(Family.IPV4, (fd) => {
    assertEquals(socketErrorIfAny(fd), null);
    native.connect(fd, rawFromNumeric("127.0.0.1", 1)); // nobody listens there
    assertEquals(socketErrorIfAny(fd)?.code, "ECONNREFUSED");
    assertEquals(socketErrorIfAny(fd), null);
  });
});

test("resetOnClose() lets close reset a TCP socket, and does nothing to others", () => {
  withSocket(Family.IPV4, (fd) => {
    assertEquals(resetOnClose(fd, true), true);
    const values = new Int32Array(2);
    assertGreaterOrEqual(
      native.getsockopt(fd, Option.LINGER[0], Option.LINGER[1], values, 8),
      8,
    );
    assertEquals([...values], [1, 0]);
  });
  const event = native.eventfd();
  assertEquals(resetOnClose(event, true), false);
  cut(event);
  native.close(event);
});

test("setCork() lets a TCP socket hold back what fills no packet, and does nothing to others", () => {
  withSocket(Family.IPV4, (fd) => {
    for (const isOn of [true, false]) {
      setCork(fd, isOn);
      assertEquals(getOption(fd, Option.CORK), Number(isOn));
    }
  });
  withSocket(Family.UNIX, (fd) => setCork(fd, true));
});

test("keepAlive that the kernel would refuse is a RangeError where it is given", () => {
  for (const keepAlive of [{ idleMs: 40_000_000 }, { intervalMs: 999 }, { count: 0 }]) {
    assertThrows(() => checkKeepAlive(keepAlive), RangeError, "Cannot set keepAlive.");
    assertThrows(() => new EventLoop(() => {}, { keepAlive }), RangeError, "Cannot set keepAlive.");
  }
  checkKeepAlive({ idleMs: 32_767_000, intervalMs: 1000, count: 127 });
  for (const none of [undefined, true, false]) checkKeepAlive(none);
});

test("checkSocketOptions() refuses what no socket can have, and asks none", () => {
  const bad: SocketOptions[] = [
    { typeOfService: 256 },
    { priority: 7 },
    { mark: -1 },
    { sendBufferBytes: NaN },
    { userTimeoutMs: 2 ** 31 },
    { keepAlive: { count: 0 } },
  ];
  for (const options of bad) assertThrows(() => checkSocketOptions(options), RangeError);
  checkSocketOptions({ typeOfService: 255, priority: 6, keepAlive: true, noDelay: false });
});

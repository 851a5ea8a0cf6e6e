import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ConnectionPool } from "../../../mod.ts";
import { poolSettings } from "../../../src/client/pool/options.ts";

test("ConnectionPool() refuses what means nothing", () => {
  const make = (options: unknown, source: unknown = "127.0.0.1:1") => () =>
    void new ConnectionPool(source as string, options as undefined);
  assertThrows(make({ maxx: 1 }), TypeError, 'Unknown option "maxx" of ConnectionPool');
  assertThrows(make({ max: 0 }), RangeError);
  assertThrows(make({ max: 2, min: 3 }), RangeError);
  assertThrows(make({ idleTimeoutMs: -1 }), RangeError);
  assertThrows(make({ dial: { signal: AbortSignal.abort() } }), TypeError, '"signal"');
  assertThrows(make({ dial: { onRequest: () => {} } }), TypeError, '"onRequest"');
  assertThrows(make({ probe: 5 }), TypeError);
  assertThrows(make({}, []), TypeError, "no address");
  assertThrows(make({}, [{}]), TypeError);
  assertThrows(make(null), TypeError);
});

test("ConnectionPool() refuses at once what no dial would take", () => {
  const make = (options: unknown, source: unknown = "127.0.0.1:1") => () =>
    void new ConnectionPool(source as string, options as undefined);
  const addresses = ["", "host", "host:99999", "host:0", "unix:", ["host:1", "x"]];
  for (const each of addresses) assertThrows(make({}, each), TypeError);
  const dials: [unknown, typeof Error][] = [
    [{ tls: 5 }, TypeError],
    [{ localAddress: "name:1" }, TypeError],
    [{ proxyProtocol: 5 }, TypeError],
    [{ sendBufferBytes: -1 }, RangeError],
    [{ typeOfService: 256 }, RangeError],
    [{ keepAlive: { idleMs: 1 } }, RangeError],
  ];
  for (const [dial, kind] of dials) assertThrows(make({ dial }), kind);
  assertThrows(make({ dial: { tls: true } }, "unix:@x"), TypeError, "serverName");
  // Null is a value, as it is for every other call: it does not stand for what is not given.
  for (const name of Object.keys(poolSettings({}))) {
    assertThrows(make({ [name]: null }), Error, "null");
  }
});

test("poolSettings() has a value for each option", () => {
  const { dial, probe, ...numbers } = poolSettings({ max: 3, dial: { readTimeoutMs: 5 } });
  assertEquals([dial, probe], [{ readTimeoutMs: 5, timeoutMs: 10_000 }, null]);
  assertEquals(Object.values(numbers).every((value) => Number.isInteger(value)), true);
  assertEquals(poolSettings({ dial: { timeoutMs: 0 } }).dial.timeoutMs, 0);
});

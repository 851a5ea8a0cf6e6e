import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { NetpollError } from "../../mod.ts";
import { checkDestination, localRaw, locate, resolve } from "../../src/net/look_up.ts";
import { formatAddress, udpAddress } from "../../src/net/address.ts";

test("checkDestination() looks at the text only", () => {
  for (const text of ["a:1", "127.0.0.1:1", ":1", "[::1]:1"]) checkDestination("tcp", text);
  for (const text of ["", "a", "a:0", "a:x", "[::1]"]) {
    assertThrows(() => checkDestination("tcp", text), TypeError);
  }
  checkDestination("unix", "@a");
  assertThrows(() => checkDestination("unix", ""), TypeError);
});

test("resolve() finds the addresses of a name, with the port that is dialled", async () => {
  const raws = await resolve({ network: "tcp4", at: { hostname: "localhost", port: 7 } });
  assertEquals(raws.map(formatAddress), [{ transport: "tcp", hostname: "127.0.0.1", port: 7 }]);
});

test("resolve() of a name that there is none of is an error that names it", async () => {
  const at = { hostname: "nowhere.invalid", port: 7 };
  await assertRejects(() => resolve({ network: "tcp", at }), NetpollError, "nowhere.invalid");
});

test("locate() takes an address apart, and says of a name that it has to be looked up", () => {
  const at = locate("udp", "127.0.0.1:7");
  assert(!("network" in at.found));
  assertEquals([at.origin, at.found.map(udpAddress)], [
    "written",
    [{ transport: "udp", hostname: "127.0.0.1", port: 7 }],
  ]);
  const name = { network: "udp4" as const, at: { hostname: "host.invalid", port: 7 } };
  assertEquals(locate("udp4", "host.invalid:7"), {
    origin: "stands for what was granted",
    found: name,
  });
  assertThrows(() => locate("udp", "127.0.0.1:0"), TypeError, "port 0 is for listening");
});

test("localRaw() is null for none, and refuses a name", () => {
  assertEquals(localRaw(undefined), null);
  assertEquals(localRaw("127.0.0.1:7")?.[1], 7);
  assertThrows(() => localRaw("localhost:7"), TypeError, "its host must be numeric");
});

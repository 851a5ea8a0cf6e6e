import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { NetpollError } from "../../mod.ts";
import { FAMILIES, resolve } from "../../src/client/look_up.ts";
import { formatAddress } from "../../src/net/address.ts";

test("resolve() finds the addresses of a name, with the port that is dialled", async () => {
  const raws = await resolve({ network: "tcp4", at: { hostname: "localhost", port: 7 } });
  assertEquals(raws.map(formatAddress), [{ transport: "tcp", hostname: "127.0.0.1", port: 7 }]);
});

test("resolve() of a name that there is none of is an error that names it", async () => {
  const at = { hostname: "nowhere.invalid", port: 7 };
  await assertRejects(() => resolve({ network: "tcp", at }), NetpollError, "nowhere.invalid");
});

test("FAMILIES has every network with hosts", () => {
  assertEquals(FAMILIES, { tcp: 0, tcp4: 4, tcp6: 6 });
});

/**
 * Each attack on each server, small: `make hostile` does them at full size.
 */
import { assert } from "@std/assert";
import { test } from "node:test";
import { createDatagramSocket } from "../../mod.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Flooder } from "./flooder.ts";
import { pairs, Servers } from "./pairs.ts";

const servers = new Servers();

const random = seededRandom();
console.log(`  SEED=${random.seed}`);

test("Flooder.send() sends each datagram from an address of its own", async () => {
  const addresses = new Set<string>();
  await using socket = createDatagramSocket("udp4", "127.0.0.1:0", {
    onDatagram: ({ remoteAddress }) => void addresses.add(remoteAddress.hostname),
  });
  using flooder = new Flooder(socket.localAddress.port, random);
  flooder.send(() => ({ length: 1 }));
  await until(() => addresses.size > 60, "their addresses");
  assert([...addresses].every((each) => each.startsWith("127.")));
});

for (const { name, obstacle, run } of pairs("small")) {
  const skip = obstacle === "" ? false : obstacle;
  test(name, { skip }, async () => void await run(servers, random));
}

// As a test: Deno does not call after() of a file.
test("stop() ends all servers", () => servers.stop());

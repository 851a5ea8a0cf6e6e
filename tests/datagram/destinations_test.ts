import { test } from "node:test";
import { packPeer } from "../../mod.ts";
import { DESTINATIONS_MAX } from "../../src/core/limits.ts";
import { checkDestination } from "../../src/datagram/destinations.ts";

test("checkDestination() lets everything pass where everything is granted, however many there are", () => {
  for (let port = 1; port <= DESTINATIONS_MAX + 10; port++) {
    checkDestination(packPeer({ transport: "udp", hostname: "192.0.2.1", port }));
  }
  checkDestination(packPeer("[2001:db8::1]:53"));
});

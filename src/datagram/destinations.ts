/**
 * Destinations: each new one of `writeTo` is asked about once. The sandbox is a query away, which
 * takes a hundred times as long as a write.
 */
import { host } from "../../ffi/runtime.ts";
import { DESTINATIONS_MAX } from "../core/limits.ts";
import type { PackedAddress } from "../net/address.ts";
import { keyOf, udpOf } from "./peer.ts";

/** Destinations that were granted. One set a thread, as the permissions are. */
const granted = new Set<number | string>();

/**
 * Throws what the runtime throws unless the program may send to a peer. A permission that is taken
 * back holds for new destinations, as one of an open connection does.
 */
export function checkDestination(peer: PackedAddress): void {
  if (host.name === "bun") return; // it has no sandbox
  const key = keyOf(peer);
  if (granted.has(key)) return;
  const { hostname, port } = udpOf(peer);
  host.checkNet(hostname, port);
  // Those that are in use come back at once; the bound is for whoever writes to all of the world.
  if (granted.size >= DESTINATIONS_MAX) granted.clear();
  granted.add(key);
}

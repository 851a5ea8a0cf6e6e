/**
 * The two calls by which a program reaches an address. Each asks the runtime's sandbox first, about
 * the very bytes that the kernel gets: no other file may make them (tests/tidy_test.ts).
 */
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { formatAddress } from "./address.ts";

/**
 * The origin of an address. One that the program wrote has to be granted; one that stands for what
 * was granted before, such as a name, only must not be denied.
 */
export type Origin = "written" | "stands for what was granted";

/** Throws what the runtime throws where the program may not use an address. */
export function checkPermitted(raw: Uint32Array, origin: Origin): void {
  const address = formatAddress(raw);
  if (address.transport === "unix") return host.checkUnix(address.path);
  const { hostname, port } = address;
  if (origin === "written") host.checkNet(hostname, port);
  else host.checkNotDenied(hostname, port);
}

/** Gives a socket its own address: 0, or `-errno`. */
export function bind(fd: number, raw: Uint32Array, origin: Origin): number {
  checkPermitted(raw, origin);
  return native.bind(fd, raw);
}

/** Begins to connect: 0, or `-EINPROGRESS` when an event will tell, or another `-errno`. */
export function connect(fd: number, raw: Uint32Array, origin: Origin): number {
  checkPermitted(raw, origin);
  return native.connect(fd, raw);
}

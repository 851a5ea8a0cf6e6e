/**
 * Addresses of our own that users write: the first of those that a text stands for and that can be
 * bound.
 */
import { host } from "../../ffi/runtime.ts";
import { NetpollError, SystemError } from "../core/errors.ts";
import {
  type HostPort,
  type IpNetwork,
  isNumeric,
  parseHostPort,
  rawFromNumeric,
  resolveHost,
} from "./address.ts";
import { checkPermitted, type Origin } from "./permitted.ts";

/** A way to bind a raw address. */
export interface Binding {
  readonly v6Only: boolean;
  readonly origin: Origin;
}

/**
 * The addresses that ":port" may be bound to, of all of this machine. "::" takes what comes by IPv4
 * as well, unless it is told not to: then it is 0.0.0.0, too, that must not be denied.
 */
function permitted(raws: readonly Uint32Array[], at: HostPort, v6Only: boolean): Uint32Array[] {
  const everyIPv4 = rawFromNumeric("0.0.0.0", at.port);
  let refusal: unknown;
  const usable = raws.filter((raw) => {
    try {
      checkPermitted(raw, "written");
      if (!v6Only) checkPermitted(everyIPv4, "stands for what was granted");
      return true;
    } catch (error) {
      refusal = error;
      return false;
    }
  });
  if (usable.length === 0) throw refusal;
  return usable;
}

/**
 * Binds "host:port": calls `open` with one raw address after the other until one can be bound. The
 * descriptor.
 *
 * @throws {Error} What `open` threw, and Deno's `NotCapable` for an address that is not granted.
 */
export function bindFirst(
  network: IpNetwork,
  address: string,
  v6OnlyIfSaid: boolean | undefined,
  open: (raw: Uint32Array, binding: Binding) => number,
): number {
  const at = parseHostPort(address);
  const isName = at.hostname !== "" && !isNumeric(at.hostname);
  if (isName) host.checkNet(at.hostname, at.port);
  const origin = isName ? "stands for what was granted" : "written";
  const v6Only = v6OnlyIfSaid ?? network.endsWith("6");
  const found = resolveHost(network, at);
  const raws = at.hostname === "" ? permitted(found, at, v6Only) : found;
  // A machine without IPv6 has no "::", one without IPv4 no 127.0.0.1: the next address may do.
  for (const [i, raw] of raws.entries()) {
    try {
      return open(raw, { v6Only, origin });
    } catch (error) {
      const isMissing = error instanceof SystemError &&
        (error.code === "EAFNOSUPPORT" || error.code === "EADDRNOTAVAIL");
      if (!isMissing || i === raws.length - 1) throw error;
    }
  }
  throw new NetpollError(`Cannot bind ${address}: it has no address`);
}

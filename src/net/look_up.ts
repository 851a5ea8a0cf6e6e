/**
 * Destinations: the addresses that a text stands for, and whether the program may go there.
 */
import { lookup } from "node:dns/promises";
import { host } from "../../ffi/runtime.ts";
import { check } from "../core/check.ts";
import { placed } from "../core/place.ts";
import { ResolveError } from "../core/resolve_error.ts";
import {
  describeAddress,
  formatAddress,
  type HostPort,
  type IpNetwork,
  isNumeric,
  parseHostPort,
  parsePath,
  rawFromNumeric,
  resolveHost,
  wellKnown,
} from "./address.ts";
import { bind, type Origin } from "./permitted.ts";
import { type AddressLike, writtenHostPort } from "./written.ts";

/** A name that a resolver has to look up. */
export interface Name {
  readonly network: IpNetwork;
  readonly at: HostPort;
}

/** A destination: the addresses to try, or the name that stands for them. */
export interface Destination {
  readonly origin: Origin;
  readonly found: readonly Uint32Array[] | Name;
}

/** The host and the port of somebody who listens. */
function parseListening(address: string): HostPort {
  const at = parseHostPort(address);
  if (at.port !== 0) return at;
  throw new TypeError(`Cannot dial "${address}": port 0 is for listening`);
}

/**
 * Looks at the text of an address only: nobody is asked for a permission, or for the addresses of a name.
 *
 * @throws {TypeError} Nobody can be there.
 */
export function checkDestination(network: IpNetwork | "unix", address: string): void {
  if (network === "unix") parsePath(address);
  else parseListening(address);
}

/** Takes the text of an address apart, once, and asks whether the program may go there. */
export function locate(network: IpNetwork | "unix", address: string): Destination {
  if (network === "unix") return { origin: "written", found: [parsePath(address)] };
  const at = parseListening(address);
  const { hostname, port } = at;
  if (hostname === "") {
    // Nobody has named this machine: its own addresses are as good as written.
    const found = resolveHost(network, { hostname: "localhost", port });
    return { origin: "written", found };
  }
  if (isNumeric(hostname)) return { origin: "written", found: resolveHost(network, at) };
  host.checkNet(hostname, port);
  const isKnown = wellKnown(hostname) !== null;
  const found = isKnown ? resolveHost(network, at) : { network, at };
  return { origin: "stands for what was granted", found };
}

/** The raw address of our own end as a user wrote it; null for none. */
export function localRaw(given: AddressLike | undefined): Uint32Array | null {
  if (given === undefined) return null;
  const address = writtenHostPort(given);
  const { hostname, port } = parseHostPort(address);
  if (isNumeric(hostname)) return rawFromNumeric(hostname, port);
  throw new TypeError(`Cannot use the local address "${address}": its host must be numeric`);
}

/** Gives a socket the address of our own end. */
export function bindLocal(fd: number, local: Uint32Array): void {
  const address = formatAddress(local);
  try {
    check("use the local address", bind(fd, local, "written"), describeAddress(address));
  } catch (error) {
    throw placed(error, address);
  }
}

/** The version of IP that a network means; 0 is both. */
function versionOf(network: IpNetwork): 0 | 4 | 6 {
  return network.endsWith("4") ? 4 : network.endsWith("6") ? 6 : 0;
}

/** The addresses of a name, the families taking turns (RFC 8305 §4). */
export async function resolve({ network, at }: Name): Promise<Uint32Array[]> {
  const { hostname, port } = at;
  const family = versionOf(network);
  const found = await lookUp(hostname, family);
  if (found === null) return resolveHost(network, at);
  const fitting = found.filter((each) => family === 0 || each.family === family);
  if (fitting.length === 0) {
    throw new ResolveError(hostname, "ENOTFOUND", `it has no address for ${network}`);
  }
  const [first, second] = [fitting[0]!.family, fitting[0]!.family === 6 ? 4 : 6].map(
    (each) => fitting.filter((one) => one.family === each),
  ) as [typeof fitting, typeof fitting];
  const turns: typeof fitting = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    turns.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
  }
  return turns.map((each) => rawFromNumeric(each.address, port));
}

/**
 * The addresses of a name, as the runtime finds them. Null where it may not: Deno's resolver wants
 * permission for every port of the host, and would ask its user where the program has just the one
 * that it dials.
 */
async function lookUp(
  name: string,
  family: 0 | 4 | 6,
): Promise<{ address: string; family: number }[] | null> {
  if (!host.mayResolve(name)) return null;
  try {
    return await lookup(name, { all: true, family });
  } catch (cause) {
    if ((cause as { code?: string }).code === "EPERM") return null;
    const { code = "EAI_FAIL" } = cause as { code?: string };
    const why = "the runtime's resolver found no address";
    throw new ResolveError(name, code, why, { cause });
  }
}

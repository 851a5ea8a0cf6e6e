/**
 * Host names: the addresses that they stand for.
 */
import { lookup } from "node:dns/promises";
import { host } from "../../ffi/runtime.ts";
import { NetpollError } from "../core/errors.ts";
import { type HostPort, type Network, rawFromNumeric, resolveHost } from "../net/address.ts";

/** The networks that have hosts, and the family of each; 0 is both. */
export const FAMILIES: Readonly<Record<Exclude<Network, "unix">, 0 | 4 | 6>> = {
  tcp: 0,
  tcp4: 4,
  tcp6: 6,
};

/** A name that a resolver has to look up. */
export interface Name {
  readonly network: Exclude<Network, "unix">;
  readonly at: HostPort;
}

/** The addresses of a name, the families taking turns (RFC 8305 §4). */
export async function resolve({ network, at }: Name): Promise<Uint32Array[]> {
  const { hostname, port } = at;
  const family = FAMILIES[network];
  const found = await lookUp(hostname, family);
  if (found === null) return resolveHost(network, at);
  const fitting = found.filter((each) => family === 0 || each.family === family);
  if (fitting.length === 0) {
    throw new NetpollError(`Cannot dial "${hostname}" with ${network}: it has no such address`);
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
    const why = (cause as { code?: string }).code ?? "it failed";
    throw new NetpollError(`Cannot resolve "${name}": ${why}`, { cause });
  }
}

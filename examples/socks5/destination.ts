/**
 * The destinations that clients of a proxy may have, and the way there.
 */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { type Connection, dial, SystemError, TimeoutError } from "../../mod.ts";
import { Reply, SocksError, type Target } from "./handshake.ts";

/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 4;
const DIAL_TIMEOUT_MS = 5000;

/** The machine of the proxy, its link, and what is no host: a stranger has no business there. */
const LOCAL: readonly string[] = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ...["::/128", "::1/128", "fe80::/10", "ff00::/8"],
];

/** The networks that are named: "10.0.0.0/8", or one address. @throws {RangeError} One is none. */
function networks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = "", bits] = text.split("/");
    const version = isIP(address);
    const most = version === 6 ? 128 : 32;
    const count = bits === undefined ? most : /^\d+$/.test(bits) ? Number(bits) : NaN;
    if (version === 0 || !(count <= most)) {
      throw new RangeError(`Cannot use the network "${text}": write "10.0.0.0/8" or "::1"`);
    }
    list.addSubnet(address, count, version === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

const local = networks(LOCAL);

/** An address of IPv4 that is written as one of IPv6, however, as it is; others unchanged. */
function plain(address: string): string {
  if (isIP(address) !== 6) return address;
  const { hostname } = new URL(`http://[${address.split("%")[0]}]`);
  const [, high, low] = /^\[::ffff:([\da-f]+):([\da-f]+)\]$/.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return address;
  return [high, low].map((each) => parseInt(each, 16)).map((n) => `${n >> 8}.${n & 255}`).join(".");
}

function holds(list: BlockList, address: string): boolean {
  const at = plain(address).split("%")[0]!;
  return list.check(at, isIP(at) === 6 ? "ipv6" : "ipv4");
}

/** Decides where clients may go. */
export type Allow = (address: string) => boolean;

/**
 * Only to the networks that are named. Unless any are: everywhere, where all clients are on this
 * machine, for they could go there themselves; else everywhere but to the machine and its link.
 *
 * @throws {RangeError} A network is none.
 */
export function allowance(named: readonly string[], servesStrangers: boolean): Allow {
  if (named.length > 0) {
    const list = networks(named);
    return (address) => holds(list, address);
  }
  return servesStrangers ? (address) => !holds(local, address) : () => true;
}

/** The addresses of a host, as the resolver understands it: it takes "127.1" for this machine, too. */
async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => plain(address));
  } catch (error) {
    throw new SocksError(Reply.HOST_UNREACHABLE, `Cannot resolve "${host}": ${error}`);
  }
}

/** The reply that tells a client of a failure. */
const REPLIES: Readonly<Record<string, Reply>> = {
  ECONNREFUSED: Reply.REFUSED,
  ENETUNREACH: Reply.NETWORK_UNREACHABLE,
  ENETDOWN: Reply.NETWORK_UNREACHABLE,
  EHOSTUNREACH: Reply.HOST_UNREACHABLE,
  ETIMEDOUT: Reply.HOST_UNREACHABLE,
  EACCES: Reply.NOT_ALLOWED,
  EPERM: Reply.NOT_ALLOWED,
};

function replyTo(error: unknown): Reply {
  if (error instanceof TimeoutError) return Reply.HOST_UNREACHABLE;
  return error instanceof SystemError ? REPLIES[error.code] ?? Reply.FAILED : Reply.FAILED;
}

/**
 * Connects to where a client wants to go. The addresses that a name has are looked at, not the name:
 * anybody can give a name to 127.0.0.1.
 *
 * @throws {SocksError} It may not go there, or nobody is there.
 */
export async function connectTo(
  { host, port }: Target,
  allow: Allow,
  signal: AbortSignal,
): Promise<Connection> {
  const addresses = (await addressesOf(host)).slice(0, ADDRESSES_MAX);
  let last = new SocksError(Reply.NOT_ALLOWED, `Nobody may go to ${host} from here`);
  for (const address of addresses.filter(allow)) {
    const at = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    try {
      return await dial("tcp", at, { timeoutMs: DIAL_TIMEOUT_MS, signal });
    } catch (error) {
      last = new SocksError(replyTo(error), (error as Error).message);
    }
  }
  throw last;
}

/**
 * Addresses in every form that users have them in, made one: a network, and the text of an address.
 */
import { show } from "../core/options.ts";
import type { Address, DatagramNetwork, Network } from "./address.ts";

/** An address as `node:net` and `node:dgram` write it: `server.address()`, `rinfo`. */
export interface NodeAddress {
  /** The numeric IP address. */
  address: string;
  /** The port. */
  port: number;
  /** The version of IP, which the address itself says, too. */
  family?: string | number;
}

/** An address whose network is not written down: TCP for a stream, UDP for a datagram. */
export interface PlainAddress {
  /** A name, or a numeric IP address. */
  hostname: string;
  /** The port. */
  port: number;
  /** The network, where it is written down all the same. */
  transport?: string;
}

/** The path of a Unix socket, or `"@name"`. */
export interface PathAddress {
  /** The path. */
  path: string;
  /** The network, where it is written down all the same. */
  transport?: string;
}

/**
 * All that can be given where an address is asked for: a text (`"host:port"`, `"[::1]:80"`,
 * `"unix:/path"`, `"unix:@name"`, `"/path"`, `"tcp4://host:port"`, `"udp://host:port"`), or an
 * address of a connection, a listener, a datagram, of Deno, or of `node:net`. A `URL` will do, too.
 */
export type AddressLike = string | URL | Address | PlainAddress | PathAddress | NodeAddress;

/** A network, and the text of an address there: "host:port", or the path of a Unix socket. */
export interface Written<N extends string> {
  /** The network. */
  readonly network: N;
  /** The address. */
  readonly text: string;
}

/** The networks of streams, or of datagrams. */
interface Kind<N extends string> {
  /** Their names; the first is meant where none is written. */
  readonly networks: readonly N[];
  /** The function that takes an address of the other kind. */
  readonly others: string;
}

const STREAMS: Kind<Network> = {
  networks: ["tcp", "tcp4", "tcp6", "unix"],
  others: "dialDatagram and createDatagramSocket take it",
};
const DATAGRAMS: Kind<DatagramNetwork> = {
  networks: ["udp", "udp4", "udp6"],
  others: "dial and createListener take it",
};

/** The address that a call was given, and the options behind it. */
export type Given<N extends string, O> = Written<N> & { readonly options: O };

/**
 * Takes the arguments of `dial` or `createListener` apart: `(network, address, options)` or
 * `(address, options)`.
 *
 * @throws {TypeError} The address is none.
 */
export function givenStream<O extends object>(
  first: unknown,
  second: unknown,
  third: O | undefined,
): Given<Network, O> {
  return given(STREAMS, first, second, third);
}

/** Takes those of `dialDatagram` or `createDatagramSocket` apart. */
export function givenDatagram<O extends object>(
  first: unknown,
  second: unknown,
  third: O | undefined,
): Given<DatagramNetwork, O> {
  return given(DATAGRAMS, first, second, third);
}

function given<N extends string, O extends object>(
  kind: Kind<N>,
  first: unknown,
  second: unknown,
  third: O | undefined,
): Given<N, O> {
  const isNamed = third !== undefined || typeof second === "string" ||
    kind.networks.includes(first as N);
  if (!isNamed) return { ...written(kind, first, null), options: orNone(second as O | undefined) };
  // Whether there is such a network is looked at by whoever needs it.
  const network = first as N;
  return { network, text: written(kind, second, network).text, options: orNone(third) };
}

/** No options, where none were given: null is none that may be left out. */
function orNone<O extends object>(options: O | undefined): O {
  return options === undefined ? {} as O : options;
}

/**
 * The one text of a stream's address, in whatever form it was given.
 *
 * @throws {TypeError} It is none.
 */
export function writtenStream(address: unknown): Written<Network> {
  return written(STREAMS, address, null);
}

/**
 * That of the address of a datagram's peer.
 *
 * @throws {TypeError} It is none.
 */
export function writtenDatagram(address: unknown): Written<DatagramNetwork> {
  return written(DATAGRAMS, address, null);
}

/**
 * The text "host:port" of an address with a port, whatever its network is.
 *
 * @throws {TypeError} It is none.
 */
export function writtenHostPort(address: unknown): string {
  return typeof address === "string" ? address : written(STREAMS, address, "tcp").text;
}

/** With `network` the text is of that network and may not say so itself. */
function written<N extends string>(
  kind: Kind<N>,
  address: unknown,
  network: N | null,
): Written<N> {
  if (typeof address === "string") {
    return network === null ? fromText(kind, address) : { network, text: address };
  }
  if (address instanceof URL) return fromText(kind, address.href);
  if (typeof address === "object" && address !== null && !Array.isArray(address)) {
    return fromObject(kind, address, network);
  }
  throw new TypeError(
    `Cannot use ${show(address)} as an address: it is no string, and no object that has one`,
  );
}

function fromText<N extends string>(kind: Kind<N>, address: string): Written<N> {
  const [, scheme, rest = ""] = /^([a-z][a-z\d+.-]*):\/\/(.*)$/is.exec(address) ?? [];
  if (scheme !== undefined) {
    const network = known(kind, scheme.toLowerCase(), address);
    if (network === "unix" && !rest.startsWith("/")) {
      throw new TypeError(
        `Cannot use the address "${address}": the path after "unix://" begins with "/"`,
      );
    }
    return { network, text: rest };
  }
  const isPath = /^(unix:|\/|@)/.test(address);
  if (!isPath) return { network: kind.networks[0]!, text: address };
  return { network: known(kind, "unix", address), text: address.replace(/^unix:/, "") };
}

/** The network of that name, if it is one of this kind. */
function known<N extends string>(kind: Kind<N>, name: string, address: unknown): N {
  if (kind.networks.includes(name as N)) return name as N;
  const isOther = [...STREAMS.networks, ...DATAGRAMS.networks].includes(name as Network);
  const cure = isOther ? kind.others : `it is one of ${kind.networks.join(", ")}`;
  const text = typeof address === "string" ? `the address "${address}"` : "an address";
  throw new TypeError(`Cannot use ${text} of the network ${show(name)}: ${cure}`);
}

function fromObject<N extends string>(
  kind: Kind<N>,
  address: object,
  network: N | null,
): Written<N> {
  // Each is read once: a getter may answer otherwise the next time.
  const { transport, hostname, address: numeric, port, path } = address as Record<string, unknown>;
  const isPath = path !== undefined || transport === "unix";
  const named = transport === undefined ? (isPath ? "unix" : kind.networks[0]!) : String(transport);
  const meant = network ?? known(kind, named, address);
  if (isPath !== (meant === "unix")) {
    throw new TypeError(
      `Cannot use ${show(address)} as an address of ${show(meant)}: ${
        isPath ? "it has a path" : "it has no path"
      }`,
    );
  }
  if (isPath) return { network: meant, text: pathOf(path) };
  return { network: meant, text: hostPortOf(hostname ?? numeric, port, address) };
}

function pathOf(path: unknown): string {
  if (typeof path === "string" && path !== "") return path;
  const why = path === "" ? "a socket without a name cannot be reached" : "its path is no string";
  throw new TypeError(`Cannot use the path ${show(path)} of a Unix address: ${why}`);
}

function hostPortOf(host: unknown, port: unknown, address: object): string {
  const isPort = typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65_535;
  if (typeof host !== "string" || !isPort) {
    throw new TypeError(
      `Cannot use ${show(address)} as an address: its hostname is ${show(host)} and its port ${
        show(port)
      }; it needs a text and a number from 0 to 65535`,
    );
  }
  const isBare = host.includes(":") && !host.startsWith("[");
  return isBare ? `[${host}]:${port}` : `${host}:${port}`;
}

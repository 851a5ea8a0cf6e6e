/**
 * The options of a datagram socket.
 */
import {
  DATAGRAM_BYTES_QUEUED_MAX,
  DATAGRAMS_MAX,
  DATAGRAMS_QUEUED_MAX,
  DATAGRAMS_RECEIVED_MAX,
} from "../core/limits.ts";
import { checkFunction, checkNumber, checkTimeout, type Known, show } from "../core/options.ts";
import type { PackedAddress, UdpAddress } from "../net/address.ts";
import type { Poller } from "../poll/poller.ts";
import type { Datagram, Datagrams } from "./contract.ts";
import { type DatagramSocketOptions, KERNEL_OPTIONS } from "./kernel_options.ts";

/** The callbacks of a datagram socket. */
export interface DatagramCallbacks {
  /**
   * Called for each datagram. Synchronous: `datagram` is valid until it returns, and what it has
   * written, to any datagram socket, leaves after the last one of the batch. Async work takes
   * `datagram.slice()`.
   */
  onDatagram?: (datagram: Datagram) => void;
  /** Called for a batch at a time, in place of `onDatagram`. */
  onDatagrams?: (datagrams: Datagrams) => void;
  /**
   * Called with what concerns one datagram or one peer, and with what a handler throws: the socket
   * and all other peers go on. Null is the peer of a connected socket, or nobody's. Without it a
   * line is logged, at most one every 10 seconds.
   */
  onError?: (error: unknown, peer: PackedAddress | null) => void;
}

/** The options of {@linkcode createDatagramSocket}. */
export interface DatagramOptions extends DatagramCallbacks, DatagramSocketOptions {
  /** The longest time of one `wait`, in milliseconds. None unless given. */
  readTimeoutMs?: number;
  /** The longest time of one `flush`, in milliseconds. None unless given. */
  writeTimeoutMs?: number;
  /**
   * The socket is closed when no datagram came or left for so many milliseconds, and up to a 64th
   * longer. Never unless given.
   */
  idleTimeoutMs?: number;
  /** Datagrams, or trains of them, taken at a time: 1 to 64. 32 unless given. */
  receiveCountMax?: number;
  /** Datagrams that may wait for the kernel. 1024 unless given. */
  queueCountMax?: number;
  /** The bytes of them. 1 MiB unless given. */
  queueBytesMax?: number;
  /** The datagram that is dropped when more would wait: the new one unless given. */
  onQueueFull?: "drop-new" | "drop-old";
  /** Drops what has waited longer, in milliseconds: for voice and the like. Nothing unless given. */
  queueLifetimeMs?: number;
  /**
   * Whether datagrams of one size that are written one after the other to one peer leave as one
   * train, which costs the kernel as much as one datagram (UDP_SEGMENT). `"auto"` unless given.
   */
  segmentation?: "auto" | "off";
}

/** Numbers and policies of a socket, checked. */
export interface DatagramSettings {
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly receiveCountMax: number;
  readonly queueCountMax: number;
  readonly queueBytesMax: number;
  readonly queueLifetimeMs: number;
  readonly onQueueFull: "drop-new" | "drop-old";
  readonly segmentation: "auto" | "off";
  readonly typeOfService: number;
}

/** The parts of a socket. */
export interface DatagramParts {
  readonly poller: Poller;
  readonly callbacks: DatagramCallbacks & Pick<DatagramSocketOptions, "reportUnreachable">;
  readonly settings: DatagramSettings;
  readonly family: number;
  /** Whether it is one of IPv6 that does not take IPv4. */
  readonly isIPv6Only: boolean;
  /** Its own address. */
  readonly local: PackedAddress;
  /** Where it is connected to. */
  readonly remoteAddress: UdpAddress | null;
}

const DEFAULTS: DatagramSettings = {
  readTimeoutMs: 0,
  writeTimeoutMs: 0,
  idleTimeoutMs: 0,
  receiveCountMax: DATAGRAMS_RECEIVED_MAX,
  queueCountMax: DATAGRAMS_QUEUED_MAX,
  queueBytesMax: DATAGRAM_BYTES_QUEUED_MAX,
  queueLifetimeMs: 0,
  onQueueFull: "drop-new",
  segmentation: "auto",
  typeOfService: 0,
};

const QUEUED_MAX = 2 ** 30;

/** The names of {@linkcode DatagramOptions}. */
export const DATAGRAM_OPTIONS: Known<DatagramOptions> = {
  ...DEFAULTS,
  ...KERNEL_OPTIONS,
  onDatagram: 1,
  onDatagrams: 1,
  onError: 1,
};

function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.includes(value as string)) return;
  const all = choices.map((each) => `"${each}"`).join(" or ");
  throw new TypeError(`Cannot set ${name} to ${show(value)}: it is ${all}`);
}

/**
 * The settings that follow from options.
 *
 * @throws {RangeError} A number is none that means anything.
 * @throws {TypeError} A callback is no function, or a choice is none of its values.
 */
export function datagramSettings(options: DatagramOptions): DatagramSettings {
  const given = Object.keys(DEFAULTS).filter((name) => name in options);
  // There may be many sockets: those that ask for nothing share one object.
  const settings: DatagramSettings = given.length === 0 ? DEFAULTS : {
    ...DEFAULTS,
    ...Object.fromEntries(given.map((name) => [name, options[name as keyof DatagramSettings]])),
  };
  for (
    const name of ["readTimeoutMs", "writeTimeoutMs", "idleTimeoutMs", "queueLifetimeMs"] as const
  ) {
    checkTimeout(name, settings[name]);
  }
  checkNumber("receiveCountMax", settings.receiveCountMax, 1, DATAGRAMS_MAX);
  checkNumber("queueCountMax", settings.queueCountMax, 1, QUEUED_MAX);
  checkNumber("queueBytesMax", settings.queueBytesMax, 1, QUEUED_MAX);
  checkChoice("onQueueFull", settings.onQueueFull, ["drop-new", "drop-old"]);
  checkChoice("segmentation", settings.segmentation, ["auto", "off"]);
  for (const name of ["onDatagram", "onDatagrams", "onError"] as const) {
    if (options[name] !== undefined) checkFunction(name, options[name]);
  }
  if (options.onDatagram !== undefined && options.onDatagrams !== undefined) {
    throw new TypeError("Cannot use onDatagram and onDatagrams: a socket has one of them");
  }
  return settings;
}

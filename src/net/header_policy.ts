/**
 * The rule of a listener for PROXY headers: which peers send one, in which time and how long.
 */
import { PROXY_HEADER_TIMEOUT_MS } from "../core/limits.ts";
import { checkTimeout, type Known, readOptions, show } from "../core/options.ts";
import type { PackedAddress } from "./address.ts";
import { checkHeaderBytes } from "./proxy_header.ts";
import { Trusted } from "./trusted.ts";

/**
 * The PROXY protocol at a listener.
 *
 * @example
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 *
 * const listener = createListener("tcp", "127.0.0.1:0", {
 *   proxyProtocol: { trusted: ["10.0.0.0/8", "fd00::/8"], untrusted: "refuse" },
 * });
 * const loop = new EventLoop(({ remoteAddress, proxy }) => {
 *   console.log(remoteAddress, "through", proxy?.peer);
 * });
 * const served = loop.serve(listener);
 * await loop.shutdown();
 * await served;
 * ```
 */
export interface ProxyProtocolOptions {
  /**
   * The proxies: IP addresses and networks (`"10.0.0.0/8"`), and `"unix"` for all peers of a Unix
   * socket. Their connections have to begin with a header.
   */
  trusted: readonly string[];
  /**
   * Connections of all others: served as they are, a header among their bytes is theirs to explain
   * (`"plain"`, unless given); or reset (`"refuse"`).
   */
  untrusted?: "plain" | "refuse";
  /** The time in which the header has to come; 0 for ever. 10 s unless given. */
  timeoutMs?: number;
  /** The longest header: 107 to 65551 bytes. 65551 unless given. */
  bytesMax?: number;
}

const OPTIONS: Known<ProxyProtocolOptions> = {
  trusted: 1,
  untrusted: 1,
  timeoutMs: 1,
  bytesMax: 1,
};

/** The longest time, in the number that goes with a connection from thread to thread. */
const TIMEOUT_MS_MAX = 0xffff_ffff;

/** The most that a header may take. */
export interface HeaderBounds {
  /** Milliseconds; 0 for any number. */
  readonly timeoutMs: number;
  /** Bytes. */
  readonly bytesMax: number;
}

/** The policy of a listener. */
export class HeaderPolicy {
  /** The options that another thread makes the same policy of. */
  readonly options: ProxyProtocolOptions;
  readonly #trusted: Trusted;
  readonly #bounds: HeaderBounds;

  /**
   * The policy that a user wants.
   *
   * @throws {TypeError} An option is wrong, or `trusted` is missing.
   * @throws {RangeError} A number is out of bounds.
   */
  constructor(options: ProxyProtocolOptions) {
    const read = readOptions("proxyProtocol", options, OPTIONS);
    const { untrusted = "plain", timeoutMs = PROXY_HEADER_TIMEOUT_MS } = read;
    if (untrusted !== "plain" && untrusted !== "refuse") {
      throw new TypeError(
        `Cannot treat untrusted peers as ${show(untrusted)}: it is "plain" or "refuse"`,
      );
    }
    this.#trusted = new Trusted(read.trusted);
    this.#bounds = {
      timeoutMs: Math.min(Math.ceil(checkTimeout("timeoutMs", timeoutMs)), TIMEOUT_MS_MAX),
      bytesMax: checkHeaderBytes(read.bytesMax),
    };
    this.options = { ...read, trusted: [...read.trusted] };
  }

  /** The bounds of the header with which a peer has to begin; null for a peer that sends none. */
  boundsOf(peer: PackedAddress): HeaderBounds | null {
    return this.#trusted.has(peer) ? this.#bounds : null;
  }

  /** Whether a peer that sends none is refused. */
  get isClosed(): boolean {
    return this.options.untrusted === "refuse";
  }
}

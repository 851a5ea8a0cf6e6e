/**
 * Arrivals: what comes between an accepted descriptor and its connection, in this order: its PROXY
 * header, the bound of its host, its TLS handshake.
 */
import type { Scope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { say } from "../core/config.ts";
import { counts } from "../core/counts.ts";
import type { NetpollError } from "../core/errors.ts";
import { placed } from "../core/place.ts";
import { HANDSHAKES_MAX } from "../core/limits.ts";
import { checkFunction, checkNumber } from "../core/options.ts";
import { callBack } from "../core/promises.ts";
import { type PackedAddress, type StreamAddress, unpackAddress } from "../net/address.ts";
import type { HeaderBounds } from "../net/header_policy.ts";
import { cut } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import { socketTransport } from "../transport/descriptor.ts";
import { type Choose, Handshake } from "../transport/handshake.ts";
import { clientAddress, type ProxyInfo } from "../transport/proxied.ts";
import { HeaderReading } from "../transport/proxy_headers.ts";
import { Handshakes } from "./handshakes.ts";
import { clientKey, PeerCounts } from "./peer_counts.ts";
import { tellRefused } from "./refusals.ts";
import type { Arrival } from "./source.ts";

/** Called with the error of what failed before there was a connection, and the address of its peer. */
export type OnHandshakeError = (error: NetpollError, remoteAddress: StreamAddress) => void;

/** The options of a loop that are about arrivals. */
export interface ArrivalOptions {
  connectionsPerAddressMax?: number;
  handshakesMax?: number;
  onHandshakeError?: OnHandshakeError;
}

/** The loop, which has the connections. */
export interface ArrivalsOwner {
  /** A connection was refused. */
  onRefused(): void;
  /** One more is under way. */
  onUnderWay(): void;
  /** One has gone, and with it a descriptor. */
  onRoom(): void;
}

/** A descriptor on its way to become a connection. */
export interface Visitor {
  readonly fd: number;
  readonly local: PackedAddress | null;
  readonly remote: PackedAddress | null;
  /** The information of its proxy; null where it has none. */
  readonly proxy: ProxyInfo | null;
}

/** The listener where it came. */
export interface Reception {
  /** Where the user's functions are called. */
  readonly scope: Scope;
  /** Chooses a certificate. */
  readonly choose: Choose | null;
  /** Nothing is left to be done before it: with TLS, or without. */
  begin(visitor: Visitor, isSecure: boolean): void;
}

/** A number of connections as a user gave it. */
export function checkMost(name: string, most = Infinity): number {
  return most === Infinity ? most : checkNumber(name, most, 1, Infinity);
}

/** The arrivals of a loop. */
export class Arrivals {
  readonly #poller: Poller;
  readonly #owner: ArrivalsOwner;
  readonly #handshakes: Handshakes;
  readonly #peers: PeerCounts;
  readonly #onError: OnHandshakeError | undefined;

  /**
   * None yet.
   *
   * @throws {RangeError} A number is none.
   * @throws {TypeError} `onHandshakeError` is no function.
   */
  constructor(poller: Poller, options: ArrivalOptions, owner: ArrivalsOwner) {
    const { handshakesMax = HANDSHAKES_MAX, connectionsPerAddressMax, onHandshakeError } = options;
    if (onHandshakeError !== undefined) checkFunction("onHandshakeError", onHandshakeError);
    this.#poller = poller;
    this.#owner = owner;
    this.#handshakes = new Handshakes(checkMost("handshakesMax", handshakesMax));
    this.#peers = new PeerCounts(checkMost("connectionsPerAddressMax", connectionsPerAddressMax));
    this.#onError = onHandshakeError;
  }

  /** The number that are under way. */
  get count(): number {
    return this.#handshakes.count;
  }

  /** Goes on with a descriptor that was accepted. */
  receive(fd: number, { local, remote, header }: Arrival, reception: Reception): void {
    if (header !== null) this.#readHeader(fd, { local, remote, header }, header, reception);
    else this.#admit({ fd, local, remote, proxy: null }, reception);
  }

  #readHeader(
    fd: number,
    { local, remote }: Arrival,
    bounds: HeaderBounds,
    reception: Reception,
  ): void {
    const peer = unpackAddress(remote!);
    this.#handshakes.add(fd, {
      make: (onEnd) => new HeaderReading(this.#poller, fd, bounds, onEnd),
      onDone: ({ header }) => {
        const at = unpackAddress(local ?? socketTransport.name(fd, 0));
        this.#admit({ fd, local, remote, proxy: { ...header!, peer, local: at } }, reception);
      },
      onFailed: (error) => {
        tellRefused({ fd, local, remote }, "header", error);
        this.#onFailed(error, peer, reception);
      },
    });
    this.#owner.onUnderWay();
  }

  #admit(visitor: Visitor, reception: Reception): void {
    const { fd, remote, proxy } = visitor;
    if (!this.#peers.add(clientKey(remote, proxy))) {
      tellRefused(visitor, "per-address");
      return this.refuse(fd);
    }
    if (native.tlsTimeout(fd) < 0) reception.begin(visitor, false);
    else this.#secure(visitor, reception);
  }

  #secure(visitor: Visitor, reception: Reception): void {
    const { fd, remote, proxy } = visitor;
    this.#handshakes.add(fd, {
      make: (onEnd) => new Handshake(this.#poller, fd, reception.choose, onEnd),
      onDone: () => reception.begin(visitor, true),
      onFailed: (error) => {
        this.leave(remote, proxy);
        const peer = remote === null ? null : unpackAddress(remote);
        this.#onFailed(error, clientAddress(proxy, "source") ?? peer, reception);
      },
    });
    this.#owner.onUnderWay();
  }

  #onFailed(error: NetpollError, peer: StreamAddress | null, { scope }: Reception): void {
    this.#owner.onRoom();
    const onError = this.#onError;
    if (onError === undefined || peer === null) return;
    const fail = (second: unknown) => say("error", `onHandshakeError failed: ${second}`);
    callBack(() => scope(onError, placed(error, peer), peer), fail);
  }

  /** Resets one: its host has too many, or its listener takes none but from proxies. */
  refuse(fd: number): void {
    counts.connections.refused += 1;
    cut(fd);
    native.close(fd);
    this.#owner.onRefused();
  }

  /** A connection from this address, and behind this proxy, is there no more. */
  leave(remote: PackedAddress | null, proxy: ProxyInfo | null): void {
    this.#peers.remove(clientKey(remote, proxy));
  }

  /** Gives up all that are under way. */
  close(): void {
    this.#handshakes.close();
  }
}

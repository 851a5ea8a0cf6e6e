/**
 * Handing connections over: one thread accepts, and each connection goes to one of several Workers
 * before a byte of it was read.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { native } from "../../ffi/load.ts";
import { assert } from "../core/assert.ts";
import type { SystemError } from "../core/errors.ts";
import { RING_FULL_MS } from "../core/limits.ts";
import {
  packAddress,
  type PackedAddress,
  rawEnds,
  type StreamAddress,
  unpackAddress,
} from "../net/address.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import { cut } from "../net/socket.ts";
import { type Balancer, balancer, type LoadBalance, type Newcomer } from "./load_balance.ts";
import { type Ration, rationOf } from "../poll/ration.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { Acceptor } from "./acceptor.ts";
import { type PeerKey, peerKey } from "./peer_counts.ts";
import type { Rate } from "../core/token_bucket.ts";
import type { PollerWorker } from "./poller_worker.ts";

/** The cluster, which has the Workers. */
export interface HandoverOwner {
  /** Those that can take a connection now. */
  takers(): readonly PollerWorker[];
  /** The policy failed; the connection is served all the same. */
  onPolicyError(error: unknown): void;
  /** A listener is broken: nothing comes any more. */
  onAcceptFailure(error: SystemError): void;
}

/** A connection that was accepted while no Worker could take it. */
interface Homeless {
  readonly fd: number;
  readonly ends: Uint32Array;
}

/**
 * The connection that was accepted last. Its getters are asked by few policies. There is one object
 * for all, of a class: V8 needs a microsecond for each object literal with getters.
 */
class LastAccepted implements Newcomer<StreamAddress> {
  remote: PackedAddress = 0;

  get source(): PeerKey {
    return peerKey(this.remote);
  }

  get address(): StreamAddress {
    return unpackAddress(this.remote);
  }
}

/** Accepts connections, and hands each to a Worker. */
export class Handover {
  readonly #owner: HandoverOwner;
  readonly #balancer: Balancer<StreamAddress>;
  readonly #fallback: Balancer<StreamAddress> = balancer<StreamAddress>("round-robin");
  readonly #accepts: Rate | null;
  readonly #acceptors = new Set<Acceptor>();
  readonly #homeless: Homeless[] = [];
  readonly #newcomer = new LastAccepted();
  /** Set while nobody can take a connection: they wait in the kernel's queue. */
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isRef = true;
  #isClosed = false;

  /**
   * Hands nothing over yet; later so many connections of each listener, if there is a rate.
   *
   * @throws {TypeError} There is no such policy.
   */
  constructor(
    policy: LoadBalance<StreamAddress>,
    owner: HandoverOwner,
    accepts: Rate | null = null,
  ) {
    this.#accepts = accepts;
    this.#balancer = balancer<StreamAddress>(policy);
    this.#owner = owner;
  }

  /**
   * Takes the connections of a listener.
   *
   * @throws {SystemError} It cannot be watched.
   */
  accept(socket: ListenerSocket): void {
    const ration = rationOf(threadPoller(), this.#accepts);
    for (const one of [socket, ...socket.siblings]) this.#acceptFrom(one, ration);
  }

  #acceptFrom(socket: ListenerSocket, ration: Ration | null): void {
    const acceptor = new Acceptor(socket, threadPoller(), {
      onAccept: (fd, { remote }) => this.#place(fd, acceptor.ends.raw, remote!),
      onRefuse: refuse,
      onStop: () => this.#acceptors.delete(acceptor),
      onAcceptFailure: (error) => this.#owner.onAcceptFailure(error),
    }, ration);
    if (!this.#isRef) acceptor.unref();
    if (this.#timer !== null) acceptor.pause();
    this.#acceptors.add(acceptor);
  }

  /** The number of connections that were accepted, and that no Worker can take yet. */
  get homelessCount(): number {
    return this.#homeless.length;
  }

  /** A Worker has ended: what it did not get to goes to others. */
  rehome(worker: PollerWorker): void {
    for (;;) {
      const { raw } = rawEnds();
      const fd = worker.takeBack(raw);
      if (fd < 0) return;
      this.#place(fd, raw, packAddress(raw));
    }
  }

  #place(fd: number, ends: Uint32Array, remote: PackedAddress): void {
    if (this.#isClosed) return refuse(fd);
    const takers = this.#owner.takers();
    if (takers.length === 0) {
      this.#homeless.push({ fd, ends: ends.slice() });
      return this.#pause();
    }
    // It has room: nobody else hands it anything.
    assert(this.#choose(takers, remote).push(fd, ends), "a ring has as much room as is counted");
  }

  #choose(takers: readonly PollerWorker[], remote: PackedAddress): PollerWorker {
    this.#newcomer.remote = remote;
    try {
      return this.#balancer.pick(takers, this.#newcomer);
    } catch (error) {
      this.#owner.onPolicyError(error);
      return this.#fallback.pick(takers, this.#newcomer);
    }
  }

  /** Nobody has room, or nobody serves. One timer for all: each that waits comes here again. */
  #pause(): void {
    if (this.#timer !== null) return;
    for (const acceptor of this.#acceptors) acceptor.pause();
    this.#timer = setTimeout(() => this.#resume(), RING_FULL_MS);
    if (!this.#isRef) this.#timer.unref();
  }

  /** Tries again: who was accepted already comes first. */
  #resume(): void {
    this.#timer = null;
    for (const { fd, ends } of this.#homeless.splice(0)) this.#place(fd, ends, packAddress(ends));
    // One that found no home has set it again.
    if (this.#timer === null) { for (const acceptor of this.#acceptors) acceptor.resume(); }
  }

  /** Keeps the process alive while it listens: the default. */
  ref(): void {
    this.#isRef = true;
    for (const acceptor of this.#acceptors) acceptor.ref();
  }

  /** Lets the process end although it listens. */
  unref(): void {
    this.#isRef = false;
    for (const acceptor of this.#acceptors) acceptor.unref();
  }

  /**
   * Hands over what waits already, as far as that goes, and closes the listeners. How many
   * connections nobody could take: they were reset.
   */
  close(): number {
    for (const acceptor of this.#acceptors) acceptor.drain();
    this.#isClosed = true;
    for (const acceptor of this.#acceptors) acceptor.close();
    this.#acceptors.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const homeless = this.#homeless.splice(0);
    for (const { fd } of homeless) refuse(fd);
    return homeless.length;
  }
}

/** A connection that nobody serves. Its peer may have asked already: an end would be no answer. */
function refuse(fd: number): void {
  cut(fd);
  native.close(fd);
}

/**
 * Receiving: one recvmmsg an event, and whom the batch is for. Handlers run at once, over the arena;
 * for whoever waits the batch is kept until `release`.
 */
import type { Scope } from "../../ffi/context.ts";
import { assert } from "../core/assert.ts";
import { BusyError } from "../core/errors.ts";
import { BATCH_MICROS, DATAGRAMS_MAX, RECEIVE_REST_MS } from "../core/limits.ts";
import { heed } from "../core/promises.ts";
import type { PackedAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer } from "../poll/timer_wheel.ts";
import { turn } from "../poll/turn.ts";
import { arena } from "./arena.ts";
import { Batch } from "./batch.ts";
import type { Datagram, Datagrams } from "./contract.ts";
import { Cursor, type CursorOwner } from "./cursor.ts";
import type { DatagramCallbacks } from "./options.ts";
import { Flag, peerAt, RECORD_WORDS, Word } from "./record.ts";
import type { Tally } from "./tally.ts";

/** The socket that receives. */
export interface ReceivingOwner extends CursorOwner {
  readonly fd: number;
  readonly tally: Tally;
  readonly callbacks: DatagramCallbacks;
  readonly scope: Scope;
  /** Whether handlers may still be called. */
  readonly isOpen: boolean;
  /** The time in microseconds: when this turn's events came. */
  readonly clockMicros: number;
  /** Whether datagrams go to a handler. */
  readonly hasHandler: boolean;
  /** A handler has failed, or there is an error that nobody waits for. */
  complain(error: unknown, peer: PackedAddress | null): void;
  /** Datagrams came. */
  onMoved(): void;
  /** Nobody waits any more. */
  onWaited(): void;
  /** Tells the poller what is of interest from now on. */
  want(): void;
}

/** Somebody who waits for a datagram. */
interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The way in. */
export class Receiving {
  readonly #owner: ReceivingOwner;
  readonly #batch = new Batch();
  readonly #cursor: Cursor;
  #waiter: Waiter | null = null;
  /** An error of the peer of which nobody has heard. The next wait does. */
  #failure: unknown = null;
  #isDispatching = false;
  /** The number of the datagram that the handler is called for next. */
  #place = 0;
  /** Datagrams between two looks at the clock. */
  #stride = DATAGRAMS_MAX;
  /** Set while nothing is received, since the kernel could not. */
  #restTimer: Timer | null = null;
  /** Stops that timer. */
  #stopRest: (() => void) | null = null;

  /** Of a socket. */
  constructor(owner: ReceivingOwner) {
    this.#owner = owner;
    this.#cursor = new Cursor(this.#batch, owner);
  }

  /** The datagrams that the last wait has brought. */
  get datagrams(): Datagrams {
    return this.#cursor.datagrams;
  }

  /** Whether somebody waits. */
  get isAwaited(): boolean {
    return this.#waiter !== null;
  }

  /** Whether datagrams are here for which the handler is not called yet: it took too long before. */
  get isBehind(): boolean {
    return this.#place > 0;
  }

  /** Whether nothing is received for a while, since the kernel could not. */
  get isResting(): boolean {
    return this.#restTimer?.isSet === true;
  }

  /** Receives nothing for a while: what the kernel lacks now it lacks a moment later, too. */
  rest(poller: Poller): void {
    const timer = this.#restTimer ??= new Timer({ onTimer: () => this.#owner.want() });
    this.#stopRest ??= () => poller.cancelTimer(timer);
    poller.setTimer(timer, RECEIVE_REST_MS);
    this.#owner.want();
  }

  /** Receives a batch and passes it on. How many messages there were, or `-errno`. */
  receive(countMax: number): number {
    assert(!this.isBehind, "a batch is told before the next one is received");
    const messages = arena.receive(this.#owner.fd, countMax);
    if (messages <= 0) return messages;
    const batch = this.#batch;
    try {
      batch.begin(arena.table, arena.slots, messages);
      this.#count(messages);
      this.#failure = null;
      if (this.#owner.hasHandler) this.#dispatch();
      else this.#deliver();
    } finally {
      if (!this.isBehind && (this.#owner.hasHandler || !this.#owner.isOpen)) batch.end();
      arena.done(messages);
    }
    return messages;
  }

  /** Calls the handler for the datagrams that were put off. */
  goOn(): void {
    this.#dispatch();
    if (!this.isBehind) this.#batch.end();
  }

  #count(messages: number): void {
    const { table } = arena;
    let bytes = 0;
    for (let i = 0, at = 0; i < messages; i++, at += RECORD_WORDS) {
      bytes += table[at + Word.LENGTH]!;
      assert((table[at + Word.FLAGS]! & Flag.TRUNCATED) === 0, "a slot holds any datagram");
    }
    this.#owner.tally.received(this.#batch.count, bytes, messages);
    this.#owner.onMoved();
  }

  /** Gives what was received to whoever waits, for longer than this turn. */
  #deliver(): void {
    try {
      this.#batch.keep();
    } catch (error) {
      this.#batch.end(); // no memory is left: these are lost, as when the kernel has none
      return void this.fail(error);
    }
    this.#endWait()!.resolve();
  }

  // ---- handlers ---------------------------------------------------------------------------------

  #dispatch(): void {
    this.#isDispatching = true;
    try {
      this.#owner.scope(runHandlers, this, this.#owner.callbacks);
    } finally {
      this.#isDispatching = false;
      // A batch of trains is many calls of a handler, which may be all of a turn.
      if (this.#batch.count > DATAGRAMS_MAX) turn.hurry();
    }
  }

  /**
   * Calls the handler for each datagram of the batch. What one throws does not hurt the next. When
   * they have taken long, the rest is put off: a handler that was slow before is looked at each time,
   * and one that was not every 64 datagrams.
   */
  runEach(onDatagram: (datagram: Datagram) => unknown): void {
    const owner = this.#owner;
    const batch = this.#batch;
    const { datagram } = this.#cursor;
    let place = this.#place;
    let look = place + this.#stride;
    this.#place = 0;
    for (; owner.isOpen && place < batch.count; place++) {
      if (place === look) {
        if (this.#look() && this.#putOff(place)) return;
        look += this.#stride;
      }
      batch.moveTo(place); // wherever the last handler has moved the cursor
      try {
        const result = onDatagram(datagram);
        if (result !== undefined) this.#checkResult(result);
      } catch (error) {
        batch.moveTo(place);
        owner.complain(error, peerAt(batch.table, batch.at));
      }
    }
    if (place < batch.count) owner.tally.add("droppedClosed", batch.count - place); // a handler closed it
    if (batch.count > 1) this.#look(); // for the next batch
  }

  /** Whether handlers have taken long in this turn. The sooner is the next look. */
  #look(): boolean {
    const isLate = clock.now() - this.#owner.clockMicros > BATCH_MICROS;
    this.#stride = isLate ? 1 : Math.min(2 * this.#stride, DATAGRAMS_MAX);
    return isLate;
  }

  /** Keeps the datagrams from a place on for later. False: there is no memory for that. */
  #putOff(place: number): boolean {
    try {
      this.#batch.keep();
    } catch {
      return false;
    }
    this.#place = place;
    return true;
  }

  /** Calls the handler once for all of the batch. */
  runBatch(onDatagrams: (datagrams: Datagrams) => unknown): void {
    try {
      const result = onDatagrams(this.#cursor.datagrams);
      if (result !== undefined) this.#checkResult(result);
    } catch (error) {
      this.#owner.complain(error, null);
    }
  }

  /** A handler that waits uses a cursor that has gone on: its author has to know. */
  #checkResult(result: unknown): void {
    if (!heed(result, (error) => this.#owner.complain(error, null))) return;
    throw new TypeError(
      "Cannot wait in a handler of datagrams: it is synchronous; take slice() of the datagram, " +
        "begin what waits, and return nothing",
    );
  }

  // ---- waits ------------------------------------------------------------------------------------

  /** Waits for a batch. What the last one has lent goes back. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiter !== null) {
      return Promise.reject(new BusyError("Cannot wait: a wait for datagrams is under way"));
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#failure !== null) {
      const failure = this.#failure;
      this.#failure = null;
      return Promise.reject(failure);
    }
    this.release();
    const waiter = Promise.withResolvers<void>();
    this.#waiter = signal === undefined ? waiter : this.#waiterWith(signal, waiter);
    return waiter.promise;
  }

  #waiterWith(signal: AbortSignal, { resolve, reject }: Waiter): Waiter {
    const onAbort = () => this.#endWait()!.reject(signal.reason);
    const leave = () => signal.removeEventListener("abort", onAbort);
    signal.addEventListener("abort", onAbort);
    return {
      resolve() {
        leave();
        resolve();
      },
      reject(error) {
        leave();
        reject(error);
      },
    };
  }

  #endWait(): Waiter | null {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null) this.#owner.onWaited();
    return waiter;
  }

  /** Ends a wait with an error. Whether there was one. */
  fail(error: unknown): boolean {
    const waiter = this.#endWait();
    waiter?.reject(error);
    return waiter !== null;
  }

  /** Ends a wait with an error of the peer, or the next one. */
  failOnce(error: unknown): void {
    if (!this.fail(error)) this.#failure = error;
  }

  /** The kernel could not receive: whoever waits hears of it, or `onError`. */
  tellError(error: unknown): void {
    if (this.fail(error)) this.#owner.tally.add("errors");
    else this.#owner.complain(error, null);
  }

  /** Gives back what the last wait has brought. */
  release(): void {
    if (!this.#owner.hasHandler) this.#batch.end();
  }

  /** The socket is closed: nothing is told any more. What was put off is lost, and counted. */
  end(): void {
    if (this.isBehind) this.#owner.tally.add("droppedClosed", this.#batch.count - this.#place);
    this.#place = 0;
    this.#stopRest?.();
    if (!this.#isDispatching) this.#batch.end();
  }
}

function runHandlers(receiving: Receiving, callbacks: DatagramCallbacks): void {
  if (callbacks.onDatagram !== undefined) receiving.runEach(callbacks.onDatagram);
  else receiving.runBatch(callbacks.onDatagrams!);
}

/**
 * The deadlines of a connection. One that has none has no object of this kind either.
 */
import { counts } from "../core/counts.ts";
import type { TimeoutOperation } from "../core/errors.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import type { ConnectionSettings } from "./settings.ts";

/** The connection, as its deadlines need it: they look before they judge. */
export interface DeadlineOwner {
  /** The transport. A descriptor that is watched keeps the process alive by itself. */
  readonly io: { readonly isDescriptor: boolean };
  /** Sent bytes that the peer has not taken. */
  readonly untakenInAll: number;
  /** True when the peer has sent bytes that we do not read, or serve: it waits for us. */
  readonly isHeldBack: boolean;
  /** Takes what the kernel has for who waits. Whether it has more, which we do not read. */
  lookForInput(): boolean;
  /**
   * Sends what the kernel has room for by now. Since when the first flush waits, or 0; that of a
   * file waits since the peer took some of what was sent, if that was later.
   */
  lookForRoom(takenSince: number): number;
  /** A wait, a flush, the silence or the life took longer than it may. */
  onDeadline(operation: TimeoutOperation, timeoutMs: number): void;
}

/**
 * The delay that a long deadline may have, in milliseconds: a power of two, at most a 64th of it.
 * Thousands of idle timeouts then expire together, instead of waking the poller for each.
 */
function grain(timeoutMs: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, timeoutMs / 64)));
}

/** Watches over how long things take. */
export class Deadlines implements TimerOwner {
  /** Whether bytes left since the last ones came. */
  isAsking = false;
  readonly #poller: Poller;
  readonly #owner: DeadlineOwner;
  readonly #read: Timer;
  readonly #write: Timer;
  readonly #idle = new Timer(this);
  readonly #lifetime = new Timer(this);
  #readMs: number;
  #writeMs: number;
  #idleMs: number;
  readonly #lifetimeMs: number;
  /** Since when somebody waits, in microseconds; 0 for nobody. */
  #readSince = 0;
  #writeSince = 0;
  /** When a byte last moved. */
  #activeSince: number;
  /** Bytes that the peer had not taken at the last look. */
  #untakenBytes = 0;
  /** The time of the last look at which there were fewer of them. */
  #takenSince = 0;

  /** Deadlines of a connection that begins now. */
  constructor(
    poller: Poller,
    owner: DeadlineOwner,
    settings: ConnectionSettings,
    nowMicros: number,
  ) {
    this.#poller = poller;
    this.#owner = owner;
    this.#read = new Timer(this, !owner.io.isDescriptor);
    this.#write = new Timer(this, !owner.io.isDescriptor);
    this.#readMs = settings.readTimeoutMs;
    this.#writeMs = settings.writeTimeoutMs;
    this.#idleMs = settings.idleTimeoutMs;
    this.#lifetimeMs = settings.lifetimeMs;
    this.#activeSince = nowMicros;
    if (this.#idleMs > 0) poller.setTimer(this.#idle, this.#idleMs, grain(this.#idleMs));
    if (this.#lifetimeMs > 0) {
      poller.setTimer(this.#lifetime, this.#lifetimeMs, grain(this.#lifetimeMs));
    }
  }

  /** The longest time of a wait. */
  get readMs(): number {
    return this.#readMs;
  }

  /** The longest time of a flush. */
  get writeMs(): number {
    return this.#writeMs;
  }

  /** The longest time without a byte. */
  get idleMs(): number {
    return this.#idleMs;
  }

  /** Changes how long a wait may take, one that is under way included. */
  setRead(timeoutMs: number, nowMicros: number): void {
    this.#readMs = timeoutMs;
    this.#restart(this.#read, this.#readSince, timeoutMs, nowMicros);
  }

  /** Changes how long a flush may take, one that is under way included. */
  setWrite(timeoutMs: number, nowMicros: number): void {
    this.#writeMs = timeoutMs;
    this.#restart(this.#write, this.#writeSince, timeoutMs, nowMicros);
  }

  /** Changes how long no byte may move. */
  setIdle(timeoutMs: number, nowMicros: number): void {
    this.#idleMs = timeoutMs;
    this.#restart(this.#idle, this.#activeSince, timeoutMs, nowMicros, grain(timeoutMs));
  }

  #restart(
    timer: Timer,
    since: number,
    timeoutMs: number,
    nowMicros: number,
    grainMs = 1,
  ): void {
    if (timeoutMs === 0 || since === 0) this.#poller.cancelTimer(timer);
    else this.#poller.setTimer(timer, timeoutMs - (nowMicros - since) / 1000, grainMs);
  }

  /** A wait begins. */
  beginRead(nowMicros: number): void {
    this.#readSince = nowMicros;
    if (this.#readMs > 0) this.#poller.setTimer(this.#read, this.#readMs);
  }

  /** The wait is over. */
  endRead(): void {
    this.#readSince = 0;
    this.#poller.cancelTimer(this.#read);
  }

  /** A flush waits that was begun at that time, with none before it. */
  beginWrite(since: number, nowMicros: number): void {
    this.#writeSince = since;
    this.#restart(this.#write, since, this.#writeMs, nowMicros);
  }

  /** No flush waits any more. */
  endWrite(): void {
    this.#writeSince = 0;
    this.#poller.cancelTimer(this.#write);
  }

  /** Bytes moved. The timer is not touched: when it expires it looks whether it was too early. */
  active(nowMicros: number): void {
    this.#activeSince = nowMicros;
  }

  /** For so long we have left the peer's bytes where they are: a wait takes no time meanwhile. */
  excuse(micros: number, nowMicros: number): void {
    this.#activeSince = nowMicros;
    if (this.#readSince !== 0) this.#readSince = Math.min(nowMicros, this.#readSince + micros);
  }

  /** Bytes came. */
  received(nowMicros: number): void {
    this.#activeSince = nowMicros;
    this.isAsking = false;
  }

  /** Bytes left. */
  sent(nowMicros: number): void {
    this.#activeSince = nowMicros;
    this.isAsking = true;
  }

  /** All is over. */
  close(): void {
    for (const timer of [this.#read, this.#write, this.#idle, this.#lifetime]) {
      this.#poller.cancelTimer(timer);
    }
  }

  onTimer(timer: Timer): void {
    if (timer === this.#read) this.#onRead();
    else if (timer === this.#write) this.#onWrite();
    else if (timer === this.#idle) this.#onIdle();
    else this.#passed("lifetime", this.#lifetimeMs);
  }

  #passed(operation: TimeoutOperation, timeoutMs: number): void {
    counts.timeouts[operation] += 1;
    this.#owner.onDeadline(operation, timeoutMs);
  }

  #onRead(): void {
    const isHeldBack = this.#owner.lookForInput();
    if (this.#readSince === 0 || this.#read.isSet) return;
    const nowMicros = clock.now();
    const leftMs = this.#readMs - (nowMicros - this.#readSince) / 1000;
    if (leftMs > 0) this.#poller.setTimer(this.#read, leftMs); // it was excused
    else if (isHeldBack) this.beginRead(nowMicros);
    else this.#passed("read", this.#readMs);
  }

  #onWrite(): void {
    const nowMicros = clock.now();
    this.#lookAtPeer(nowMicros);
    const since = this.#owner.lookForRoom(this.#takenSince);
    if (this.#writeSince === 0) return;
    if (nowMicros - since < this.#writeMs * 1000) return this.beginWrite(since, nowMicros);
    this.#passed("write", this.#writeMs);
  }

  /**
   * Bytes that left and came are known; what the peer takes of those that the kernel holds is looked
   * at: a slow reader is not idle. Since when they lie there nobody knows the first time, which is
   * in favour of the peer.
   */
  #lookAtPeer(nowMicros: number): void {
    const untakenBytes = this.#owner.untakenInAll;
    const isFirst = untakenBytes > 0 && this.#untakenBytes === 0;
    if (isFirst || untakenBytes < this.#untakenBytes) this.#takenSince = nowMicros;
    this.#untakenBytes = untakenBytes;
  }

  #onIdle(): void {
    const nowMicros = clock.now();
    this.#lookAtPeer(nowMicros);
    const since = this.#owner.isHeldBack ? nowMicros : this.#takenSince;
    this.#activeSince = Math.max(this.#activeSince, since);
    const leftMs = this.#idleMs - (nowMicros - this.#activeSince) / 1000;
    if (leftMs <= 0) return this.#passed("idle", this.#idleMs);
    // Four times as often while there is something to take.
    const lookMs = this.#untakenBytes > 0 ? Math.min(leftMs, this.#idleMs / 4) : leftMs;
    this.#poller.setTimer(this.#idle, lookMs, grain(this.#idleMs));
  }
}

/**
 * Leaving: the time of a connection is over, because of its `lifetimeMs` or of a shutdown. It begins
 * nothing new, and goes when nothing is under way any more; docs/CONNECTION.md has the table.
 *
 * ```text
 *   received before it began to leave        received since
 *   ──────────────────────────────────┬─────────────────────►
 *    these messages are served, and   │   and this one is not begun
 *    the one in the middle is finished
 * ```
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import { ClosedError, type NetpollError } from "../core/errors.ts";
import { CLOSE_LOOKS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import type { Service } from "./service.ts";

/** The connection that leaves. */
export interface LeavingOwner {
  /** Received bytes. */
  readonly input: LinkChain;
  /** Bytes that the kernel has for it. */
  readonly unreadBytes: number;
  /** Whether something was read, and nothing sent since, where reading calls for an answer. */
  readonly isUnanswered: boolean;
  /** Bytes that came, and bytes that the peer has taken, in one sum. */
  readonly movedBytes: number;
  /** True when a limit of ours keeps bytes of the peer waiting. */
  readonly isLimited: boolean;
  /** Something may be over by now. */
  onLook(): void;
}

/** Somebody who uses a connection without a callback, and says himself what he has begun. */
export interface Errand {
  /** Whether something of it has to be finished. */
  readonly isUnderWay: boolean;
  /** Nothing more shall be begun, and the error says why. */
  onLeave(error: ClosedError): void;
}

/** Why a connection leaves, and how long what is under way has been still. */
export class Leaving implements TimerOwner {
  /** A `TimeoutError` of the lifetime, or what the server says. */
  readonly reason: NetpollError;
  /** A wait or a flush has ended, and whoever waited has not gone on yet. */
  isSettling = false;
  readonly #owner: LeavingOwner;
  readonly #poller: Poller;
  readonly #isDialled: boolean;
  /** The number of bytes that had come in all when it began to leave. */
  readonly #receivedBytes: number;
  readonly #lookMs: number;
  readonly #timer = new Timer(this);
  #looks = 0;
  /** The number of looks since a byte moved. */
  #stillLooks = 0;
  #movedBytes: number;

  /** A connection begins to leave. */
  constructor(
    owner: LeavingOwner,
    { poller, settings, isDialled }: Pick<Service<never>, "poller" | "settings" | "isDialled">,
    reason: NetpollError,
  ) {
    this.reason = reason;
    this.#owner = owner;
    this.#poller = poller;
    this.#isDialled = isDialled;
    // Where reading has paused, or more came than one event may take, the kernel holds the rest.
    const { input: { total, length }, unreadBytes } = owner;
    this.#receivedBytes = total + length + unreadBytes;
    this.#lookMs = settings.closeTimeoutMs / CLOSE_LOOKS;
    this.#movedBytes = owner.movedBytes;
    this.#setTimer();
  }

  /** The error of whoever begins something new. */
  error(): ClosedError {
    return new ClosedError("Cannot go on: the connection was closed", { cause: this.reason });
  }

  /** Whether bytes that came before are unread. */
  get isOwing(): boolean {
    const { total, length } = this.#owner.input;
    // Bytes that come to one that has dialled answer what was asked before.
    return this.#isDialled ? length > 0 : total < this.#receivedBytes;
  }

  /** Whether a message is there in part: unread, or read and not released, or not answered. */
  get isInMessage(): boolean {
    const { input, isUnanswered } = this.#owner;
    return this.isOwing || input.consumed > 0 || isUnanswered;
  }

  /** Whether no byte has moved for the time that a peer has. */
  get isStill(): boolean {
    return this.#stillLooks >= CLOSE_LOOKS && this.#owner.movedBytes === this.#movedBytes;
  }

  /** Whether that time has passed since it began to leave. */
  get isLate(): boolean {
    return this.#looks >= CLOSE_LOOKS;
  }

  #setTimer(): void {
    if (this.#lookMs > 0) this.#poller.setTimer(this.#timer, this.#lookMs);
  }

  onTimer(): void {
    const { movedBytes, isLimited } = this.#owner;
    this.#looks += 1;
    this.#stillLooks = movedBytes === this.#movedBytes && !isLimited ? this.#stillLooks + 1 : 0;
    this.#movedBytes = movedBytes;
    this.#setTimer();
    this.#owner.onLook();
  }

  /** It has left. */
  close(): void {
    this.#poller.cancelTimer(this.#timer);
  }
}

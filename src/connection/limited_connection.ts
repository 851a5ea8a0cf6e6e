/**
 * A connection with limits: one that others are not, so that those pay nothing for them. Whatever
 * it may not do now it does later: bytes stay in the kernel, and messages in its input.
 */
import { counts } from "../core/counts.ts";
import { READ_BYTES_MAX } from "../core/limits.ts";
import { type Claim, claimOn, Ration } from "../poll/ration.ts";
import type { Watcher } from "../poll/watcher.ts";
import type { EndpointAddresses } from "../transport/endpoint.ts";
import { receiving } from "../transport/transport.ts";
import type { LeastRate, MemoryAccount } from "./connection_limits.ts";
import { receivedBytes } from "./connection_metrics.ts";
import type { ControlledStream } from "./controlled_stream.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import { Stop } from "./lifecycle.ts";
import { MinimumRate, type RateOwner } from "./minimum_rate.ts";
import type { Service } from "./service.ts";
import { SocketConnection } from "./socket_connection.ts";

/** The reasons of this file to read nothing. */
const LIMITS = Stop.SLOWED | Stop.RATIONED | Stop.CROWDED;

/** A connection that takes tokens for what it receives and serves. */
export class LimitedConnection<C> extends SocketConnection<C> implements RateOwner {
  readonly #bytes: Claim | null;
  readonly #requests: Claim | null;
  readonly #memory: MemoryAccount | null;
  readonly #minimum: MinimumRate | null;
  /** The pipe that moves its bytes, if there is one. */
  #pipe: Watcher | null = null;
  /** The bytes of it that the account of its server knows of. */
  #accountedBytes = 0;
  /** The next frame is the first one of a call, which was counted. */
  #isCallsFrame = false;
  /** Since when a limit has left bytes in the kernel, in microseconds. */
  #heldSince = 0;

  /** A connection that nobody watches yet, with the limits of its service. */
  constructor(service: Service<C>, fd: number, ends: EndpointAddresses) {
    super(service, fd, ends);
    const { poller, limits: shared = null, settings: { limits } } = service;
    const own = (rate: ConstructorParameters<typeof Ration>[1] | null | undefined) =>
      rate == null ? null : new Ration(poller, rate, !this.io.isDescriptor);
    this.#bytes = claimOn([own(limits?.bytes), shared?.bytes ?? null], () => this.#onBytes(), true);
    this.#requests = claimOn(
      [own(limits?.requests), shared?.requests ?? null],
      () => this.#onRequests(),
    );
    this.#memory = shared?.memory ?? null;
    this.#minimum = limits?.least == null ? null : new MinimumRate(poller, this, limits.least);
  }

  // ---- bytes --------------------------------------------------------------------------------------

  protected override receive(): boolean {
    const room = this.#memory === null ? Infinity : this.#roomBytes(this.#memory);
    const most = Math.min(room, this.#allowedBytes());
    if (most < 1) return false;
    const { input } = this;
    const before = input.total + input.length;
    // The second half is another event: one read may follow another that has filled its block.
    receiving.most = Math.min(Math.ceil(most / 2), READ_BYTES_MAX);
    receiving.blockMost = room / 2;
    try {
      return super.receive();
    } finally {
      receiving.most = READ_BYTES_MAX;
      receiving.blockMost = Infinity;
      this.#bytes?.take(input.total + input.length - before);
    }
  }

  /** The bytes for which there are tokens. Below 1 it waits for some. */
  #allowedBytes(): number {
    if (this.#bytes === null) return Infinity;
    const { allowance } = this.#bytes;
    if (allowance >= 1) return allowance;
    if ((this.stops & Stop.SLOWED) === 0) counts.limits.byteWaits += 1;
    this.stop(Stop.SLOWED);
    this.#bytes.wait();
    return 0;
  }

  /** The bytes for which there is memory. Below 1 it waits for some. */
  #roomBytes(memory: MemoryAccount): number {
    const room = memory.roomBeside(this.#heldBytes);
    if (room < 1) this.crowd();
    return room;
  }

  #onBytes(): void {
    this.unstop(Stop.SLOWED);
    if (this.isPiped) this.again(this.#pipe!);
  }

  override beginPipe(watcher: Watcher, to: ControlledStream<unknown>): void {
    this.#pipe = watcher;
    super.beginPipe(watcher, to);
  }

  override beginMove(): boolean {
    const most = this.#allowedBytes();
    if (most >= 1) receiving.most = Math.min(Math.ceil(most / 2), READ_BYTES_MAX);
    return most >= 1;
  }

  override endMove(count: number): void {
    receiving.most = READ_BYTES_MAX;
    this.#bytes?.take(count);
  }

  // ---- the time of the peer ------------------------------------------------------------------------

  protected override stop(reason: number): void {
    if ((this.stops & LIMITS) === 0) this.#heldSince = this.clockMicros;
    super.stop(reason);
  }

  protected override unstop(reason: number): void {
    this.#excuse();
    super.unstop(reason);
  }

  override lookForInput(): boolean {
    const isHeldBack = super.lookForInput();
    this.#excuse();
    return isHeldBack;
  }

  /** True when a limit of ours keeps bytes of the peer waiting. */
  override get isLimited(): boolean {
    if ((this.stops & LIMITS) === 0) return false;
    const isHere = this.input.length > 0 && !readSide.isLacking(this.reader);
    return isHere || this.unreadBytes > 0;
  }

  /** While it is limited no time passes for its peer. */
  #excuse(): void {
    if (this.deadlines === null || !this.isLimited) return;
    const nowMicros = this.clockMicros;
    this.deadlines.excuse(nowMicros - this.#heldSince, nowMicros);
    this.#heldSince = nowMicros;
  }

  // ---- requests -----------------------------------------------------------------------------------

  protected override call(): void {
    if (this.#requests !== null) this.#takeRequest(this.#requests);
    this.#isCallsFrame = true;
    super.call();
  }

  /** The first frame of a call is what it was called for. */
  onFrame(): boolean {
    if (this.#requests === null) return false;
    if (!this.#isCallsFrame) this.#takeRequest(this.#requests);
    this.#isCallsFrame = false;
    return (this.stops & Stop.RATIONED) !== 0;
  }

  #takeRequest(requests: Claim): void {
    requests.take(1);
    if (requests.allowance >= 1 || !this.isOpen) return;
    this.stop(Stop.RATIONED);
    requests.wait();
  }

  /** Whether somebody waits for the rest of a message of which a part was received. */
  get #isRestLacking(): boolean {
    if (!readSide.isLacking(this.reader)) return false;
    return this.input.length > 0 || this.input.consumed > 0 || this.isUnanswered;
  }

  // The ration holds back what would begin. A request that was let through is received whole.
  protected override readsThough(stops: number): boolean {
    const left = this.#isRestLacking ? stops & ~Stop.RATIONED : stops;
    return left === 0 || super.readsThough(left);
  }

  #onRequests(): void {
    if (this.input.length > 0 || this.unreadBytes > 0) counts.limits.requestWaits += 1;
    this.unstop(Stop.RATIONED);
    this.service.poller.again(this);
  }

  // ---- memory -------------------------------------------------------------------------------------

  override onEvent(events: number): void {
    super.onEvent(events);
    if ((this.stops & Stop.RATIONED) !== 0) this.updateInterest(); // or is here
    this.account();
    this.#minimum?.look();
  }

  override onQueued(): void {
    super.onQueued();
    this.account();
    this.#minimum?.look();
  }

  override onWait(): void {
    super.onWait();
    if ((this.stops & Stop.RATIONED) !== 0) this.updateInterest(); // a rest may be lacking now
    this.#minimum?.look();
  }

  get #heldBytes(): number {
    return this.input.heldBytes + this.output.heldBytes;
  }

  /** Tells the account of its server what it holds now. How much that is. */
  account(): number {
    const held = this.#heldBytes;
    const change = held - this.#accountedBytes;
    this.#accountedBytes = held;
    if (change !== 0) this.#memory?.add(change);
    return held;
  }

  /** It holds so much that nothing more is received until others, or it, hold less. */
  crowd(): void {
    if ((this.stops & Stop.CROWDED) !== 0) return;
    counts.limits.memoryPauses += 1;
    this.stop(Stop.CROWDED);
  }

  /** There is room again. */
  uncrowd(): void {
    if ((this.stops & Stop.CROWDED) !== 0) this.unstop(Stop.CROWDED);
  }

  // ---- the least rate -------------------------------------------------------------------------------

  get isPeerOwing(): boolean {
    if (!this.isActive || this.isPiped || !this.canRead()) return false;
    if (readSide.isLacking(this.reader)) return this.#isRestLacking;
    return this.input.length > 0 && this.handler !== null && !this.isServing && !this.isDue;
  }

  get isPeerFull(): boolean {
    if (!this.isOpen || this.isPiped) return false;
    if (writeSide.unsentBytes(this.writer) > 0) return true;
    return !this.isActive && this.unackedBytes > 0;
  }

  get receivedBytes(): number {
    return receivedBytes(this.input);
  }

  get messageBytes(): number {
    return this.input.length + this.input.consumed;
  }

  get takenBytes(): number {
    return writeSide.sentBytes(this.writer) - this.unackedBytes;
  }

  lookForMore(): boolean {
    if (this.isActive && this.isWatched && this.canRead()) this.receiveUnasked();
    this.service.poller.again(this); // for what follows from it
    return this.unreadBytes > 0;
  }

  onSlow({ bytesPerSecondMin, graceMs }: LeastRate): void {
    if (this.isActive) return this.onDeadline("rate", graceMs);
    this.onOverdue(`the peer took less than ${bytesPerSecondMin} bytes a second for ${graceMs} ms`);
  }

  protected override closeWithin(totalMs: number | undefined, input?: "forgotten" | "kept"): void {
    super.closeWithin(totalMs, input);
    this.#minimum?.look();
  }

  // ---- the end ------------------------------------------------------------------------------------

  /** Nothing limits what is left to be served. */
  override release(): number {
    this.stops &= ~LIMITS;
    this.#bytes?.close();
    this.#requests?.close();
    this.#minimum?.close();
    return super.release();
  }
}

/** A connection that nobody watches yet: with limits if its service has any. */
export function connectionOf<C>(
  service: Service<C>,
  fd: number,
  ends: EndpointAddresses,
): SocketConnection<C> {
  return service.settings.limits === null && service.limits == null
    ? new SocketConnection<C>(service, fd, ends)
    : new LimitedConnection<C>(service, fd, ends);
}

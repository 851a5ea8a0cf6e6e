/**
 * Calling the handler: once at a time, for as long as there are bytes that it has not looked at.
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import { CALL_BYTES_LARGE, RUNS_PER_EVENT_MAX } from "../core/limits.ts";
import { clock } from "../poll/clock.ts";
import { turn } from "../poll/turn.ts";
import { isPromise } from "./callbacks.ts";

/** What a request loop asks and tells its connection. */
export interface RequestOwner {
  /** Calls the handler. */
  callHandler(): void | Promise<void>;
  /** Whether the handler waits for something of ours. */
  readonly isAwaited: boolean;
  /** Whether so much is unsent that no handler is called before some of it has left. */
  readonly isChoked: boolean;
  /** The handler failed. */
  onHandlerFailure(error: unknown): void;
  /** The handler's promise has settled. */
  onHandlerSettled(): void;
  /** Whether the running handler waits for something that is not ours has changed. */
  onOutside(isOutside: boolean): void;
  /** There is more to do than one event may take. */
  onTooLong(): void;
  /** A call that had much to read took so long for what it has read of it. */
  onTimed(bytes: number, micros: number): void;
}

/** Never equal to a count of bytes. */
const NOT_STALLED = -1;

/** What became of the handler's last call. */
type Phase =
  /** It has settled. */
  | "idle"
  /** It is on the stack: its synchronous part. */
  | "dispatching"
  /** It waits, for something of ours. */
  | "waiting"
  /** It waits for something that is not ours: the runtime must have the thread. */
  | "outside";

/** The handler's calls, one after the other. */
export class RequestLoop {
  readonly #input: LinkChain;
  readonly #owner: RequestOwner;
  #phase: Phase = "idle";
  /**
   * Bytes received in all when the handler returned without having read any: it is called again
   * when more came.
   */
  #stalledAt = NOT_STALLED;
  /** Bytes read in all when the handler was called. */
  #readBefore = 0;
  #runCount = 0;
  // Made once for a connection, and only when its handler is asynchronous.
  #onSettled: (() => void) | null = null;
  #onRejected: ((error: unknown) => void) | null = null;

  /** Calls for what arrives in a chain. */
  constructor(input: LinkChain, owner: RequestOwner) {
    this.#input = input;
    this.#owner = owner;
  }

  /** Whether the handler was called and has not settled. */
  get isRunning(): boolean {
    return this.#phase !== "idle";
  }

  /** Whether there is something for a handler to do, and none is at it. */
  get isDue(): boolean {
    const { length, total, readBan } = this.#input;
    return length > 0 && !this.isRunning && readBan === null && this.#stalledAt !== total + length;
  }

  /** Another handler may make more of what is there. */
  forgetStall(): void {
    this.#stalledAt = NOT_STALLED;
  }

  /** An event: the handler may run so many times again. */
  beginEvent(): void {
    this.#runCount = 0;
  }

  /**
   * Calls the handler until nothing is left for it to do, it has to wait, or it had its share of
   * the turn.
   */
  run(): void {
    while (this.isDue && !this.#owner.isChoked) {
      if (this.#runCount > 0 && (this.#runCount === RUNS_PER_EVENT_MAX || turn.step())) {
        return this.#owner.onTooLong();
      }
      this.#runCount += 1;
      this.#call();
    }
  }

  #call(): void {
    const input = this.#input;
    this.#readBefore = input.total;
    this.#stalledAt = input.total + input.length;
    this.#phase = "dispatching";
    const begin = input.length > CALL_BYTES_LARGE ? clock.now() : 0;
    try {
      const result = this.#owner.callHandler();
      if (begin > 0) this.#time(begin);
      if (isPromise<void>(result)) this.#await(result);
      else this.#end();
    } catch (error) {
      this.#end();
      this.#owner.onHandlerFailure(error);
    }
  }

  #time(begin: number): void {
    const bytes = this.#input.total - this.#readBefore;
    if (bytes > CALL_BYTES_LARGE) this.#owner.onTimed(bytes, clock.now() - begin);
    turn.hurry();
  }

  #await(result: Promise<void>): void {
    this.#phase = "waiting";
    this.setOutside(!this.#owner.isAwaited);
    this.#onSettled ??= () => {
      this.#end();
      this.#owner.onHandlerSettled();
    };
    this.#onRejected ??= (error) => {
      this.#end();
      this.#owner.onHandlerFailure(error);
      this.#owner.onHandlerSettled();
    };
    result.then(this.#onSettled, this.#onRejected);
  }

  #end(): void {
    this.setOutside(false);
    this.#phase = "idle";
    if (this.#input.total !== this.#readBefore) this.#stalledAt = NOT_STALLED;
  }

  /** What a handler that has returned, and not settled, waits for. */
  setOutside(isOutside: boolean): void {
    if (this.#phase !== (isOutside ? "waiting" : "outside")) return;
    this.#phase = isOutside ? "outside" : "waiting";
    this.#owner.onOutside(isOutside);
  }
}

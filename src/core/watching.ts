/**
 * Whether calls of handlers are looked at. They are called as if nobody did otherwise.
 */

/** Why they are looked at. */
export type WatchReason =
  /** Somebody subscribed to a channel that tells their number. */
  | "count"
  /** Somebody subscribed to a channel that tells of each. */
  | "requests"
  /** `configure({ measure: true })`. */
  | "measure"
  /** `configure({ slowHandlerMs })`. */
  | "slow";

/** The reasons to look at calls of handlers. */
class Watching {
  /** Whether there is one. A field: it is read for each call. */
  isOn = false;
  /** True when it is wanted how long they take; otherwise they are only counted. */
  isTimed = false;
  /** True when more is wanted than how long they take. */
  isClose = false;
  readonly #reasons = new Set<WatchReason>();

  /** There is that reason, or there is not. */
  want(reason: WatchReason, on: boolean): void {
    if (on) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    this.isOn = this.#reasons.size > 0;
    this.isClose = this.#reasons.has("requests") || this.#reasons.has("slow");
    this.isTimed = this.isClose || this.#reasons.has("measure");
  }
}

/** The reasons of this thread. */
export const watching: Watching = new Watching();

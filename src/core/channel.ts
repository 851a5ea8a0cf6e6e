/**
 * Channels of `node:diagnostics_channel`: news of the library for whoever subscribes.
 */
import { type Channel as NodeChannel, channel } from "node:diagnostics_channel";

type Method = "subscribe" | "unsubscribe" | "bindStore" | "unbindStore";

/** The methods of a channel after which somebody may listen, or nobody may. */
const METHODS: readonly Method[] = ["subscribe", "unsubscribe", "bindStore", "unbindStore"];

/**
 * A channel of ours. Code that has news looks at `isHeard`, a field, before it makes a message: the
 * getter `hasSubscribers` of the runtime's channel is a call, and news of a message are looked for
 * with each message.
 *
 * A subscriber that throws hurts nobody here: the runtime reports the error as an uncaught exception
 * later.
 */
export class Channel<M extends object> {
  /** Whether somebody listens. */
  isHeard = false;
  /** True when a store may be bound: `runStores` costs ten times as much as `publish` does. */
  #hasStores = false;
  readonly #channel: NodeChannel;
  readonly #onChange: () => void;

  /** The channel of that name. `onChange` is called later, when `isHeard` may have changed. */
  constructor(name: string, onChange: () => void = () => {}) {
    this.#channel = channel(name);
    this.#onChange = onChange;
    for (const method of METHODS) this.#follow(method);
    // Nothing public tells whether a store was bound before.
    this.isHeard = this.#hasStores = this.#channel.hasSubscribers;
  }

  /**
   * Looks again after each call of a method. Whatever way somebody subscribes (by the name, the
   * channel or a tracingChannel), the runtime calls the method of this one object.
   */
  #follow(method: Method): void {
    const of = this.#channel as unknown as Record<Method, (...given: unknown[]) => unknown>;
    // Another copy of the library in this program may follow it as well.
    const other = Object.hasOwn(of, method) ? of[method] : null;
    const value = (...given: unknown[]): unknown => {
      // The runtime gives the channel another prototype while somebody listens.
      const call = other ?? Object.getPrototypeOf(of)[method];
      const result = call.apply(of, given);
      if (method === "bindStore") this.#hasStores = true;
      this.#look();
      return result;
    };
    Object.defineProperty(of, method, { value, configurable: true, writable: true });
  }

  #look(): void {
    this.isHeard = this.#channel.hasSubscribers;
    if (!this.isHeard) this.#hasStores = false;
    this.#onChange();
  }

  /** Tells all subscribers. */
  publish(message: M): void {
    if (this.isHeard) this.#channel.publish(message);
  }

  /** Tells all subscribers, and calls a function within the stores that are bound to the channel. */
  run<A, B, R>(message: M, call: (a: A, b: B) => R, a: A, b: B): R {
    if (!this.#hasStores) {
      if (this.isHeard) this.#channel.publish(message);
      return call(a, b);
    }
    return this.#channel.runStores(message, call as (...given: unknown[]) => R, undefined, a, b);
  }
}

/** The part of a trace's message that the trace itself fills in. */
export interface TraceMessage {
  /** The time that it took, in milliseconds; null until it has ended. */
  durationMs: number | null;
  /** The error that it failed with; undefined unless it has. */
  error?: unknown;
}

/**
 * The channels of something that takes time: `NAME:start`, `NAME:end` when it has settled, and before
 * that `NAME:error` if it failed. All of one run get the same message.
 */
export class Trace<M extends TraceMessage> {
  /** Whether somebody listens to any of them. */
  isHeard = false;
  readonly #start: Channel<M>;
  readonly #end: Channel<M>;
  readonly #error: Channel<M>;

  /** The channels whose names begin with that. `onChange` is as in {@linkcode Channel}. */
  constructor(name: string, onChange: () => void = () => {}) {
    const all: Channel<M>[] = [];
    const look = () => {
      this.isHeard = all.some((each) => each.isHeard);
      onChange();
    };
    for (const part of ["start", "error", "end"]) all.push(new Channel(`${name}:${part}`, look));
    [this.#start, this.#error, this.#end] = all as [Channel<M>, Channel<M>, Channel<M>];
    this.isHeard = all.some((each) => each.isHeard);
  }

  /** It starts: calls it within the stores that are bound to `start`. */
  start<A, B, R>(message: M, call: (a: A, b: B) => R, a: A, b: B): R {
    return this.#start.run(message, call, a, b);
  }

  /** It has settled. */
  end(message: M, durationMs: number): void {
    message.durationMs = durationMs;
    this.#end.publish(message);
  }

  /** It has failed, and settled. */
  fail(message: M, durationMs: number, error: unknown): void {
    message.durationMs = durationMs;
    message.error = error;
    this.#error.publish(message);
    this.#end.publish(message);
  }
}

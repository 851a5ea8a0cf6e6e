/**
 * What the channels of netpoll tell while a test runs.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";

/** News of one channel. */
export interface Heard<M> {
  readonly channel: string;
  readonly message: M;
}

/** Listens to some channels until the end of its block. */
export class Listening<M> implements Disposable {
  /** The news so far, in their order. */
  readonly heard: Heard<M>[] = [];
  readonly #subscribers: [name: string, subscriber: (message: unknown) => void][];

  constructor(...channels: string[]) {
    this.#subscribers = channels.map((channel) => [`netpoll:${channel}`, (message: unknown) => {
      this.heard.push({ channel, message: message as M });
    }]);
    for (const [name, subscriber] of this.#subscribers) subscribe(name, subscriber);
  }

  /** The names of the channels that have told something. */
  get names(): string[] {
    return this.heard.map(({ channel }) => channel);
  }

  /** The messages. */
  get messages(): M[] {
    return this.heard.map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    for (const [name, subscriber] of this.#subscribers) unsubscribe(name, subscriber);
  }
}

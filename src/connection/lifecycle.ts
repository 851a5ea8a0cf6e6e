/**
 * The life of a connection, in one table; and the reasons to read nothing.
 *
 * ```text
 *   preparing ── registered ──► connecting ── connected ──► open
 *       │                             │                       │
 *       │ close                 close │                 close │
 *       ▼                             ▼                       ▼
 *   draining ◄────────────────────────┴───────────────────────┘
 *       │ drained
 *       ▼
 *   closed ◄── lost, detached ── (any of them)
 * ```
 *
 * That the peer ended its side is no state: reading is over then, writing is not.
 */
import { assert } from "../core/assert.ts";

/** Where a connection is in its life. */
export type State = "preparing" | "connecting" | "open" | "draining" | "closed";

/** A step from one state to another. */
export type Step =
  /** It is watched, and `onConnect` runs. */
  | "registered"
  /** `onConnect` has settled. */
  | "connected"
  /** Somebody asked to close it: what was flushed still leaves. */
  | "close"
  /** Nothing is left to send, or the time for it is over. */
  | "drained"
  /** The peer reset it, or the network did; or we did. */
  | "lost"
  /** Its descriptor was given away. */
  | "detached";

const NEXT: Readonly<Record<State, Partial<Record<Step, State>>>> = {
  preparing: { registered: "connecting", close: "draining", lost: "closed", detached: "closed" },
  connecting: { connected: "open", close: "draining", lost: "closed", detached: "closed" },
  open: { close: "draining", lost: "closed", detached: "closed" },
  draining: { drained: "closed", lost: "closed" },
  closed: {},
};

/** The state after a step. An illegal step is a bug. */
export function next(state: State, step: Step): State {
  const after = NEXT[state][step];
  assert(after !== undefined, `${step} while ${state}`);
  return after;
}

/** Why nothing is read: bits, since there may be several reasons. Zero where all is read. */
export const Stop = {
  /** No more bytes come. */
  ENDED: 1,
  /** The user has paused it. */
  PAUSED: 2,
  /** So much is held that what is received must be read first: releases are of interest. */
  FULL: 4,
  /** So much is unsent that some of it must leave first. */
  CHOKED: 8,
  /** A pipe moves its bytes. */
  PIPED: 16,
  /** Its time is over: only what a message lacks is read. */
  LEAVING: 32,
  /** A handshake is under way. */
  SECURING: 64,
  /** It has received as fast as it may: limited_connection.ts goes on. */
  SLOWED: 128,
  /** Its handler was called as often as it may: it is not called, either. */
  RATIONED: 256,
  /** All connections together hold too much, and it holds more than its part. */
  CROWDED: 512,
} as const;

/** The reasons not to call the handler. */
export const UNSERVED: number = Stop.CHOKED | Stop.RATIONED;

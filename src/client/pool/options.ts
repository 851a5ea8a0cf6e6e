/**
 * The options of a pool.
 */
import { checkCallbacks } from "../../connection/callbacks.ts";
import type { Connection } from "../../connection/connection.ts";
import { settings } from "../../connection/settings.ts";
import {
  EJECT_AFTER,
  EJECT_MS,
  POOL_ACQUIRE_TIMEOUT_MS,
  POOL_CONNECTIONS_MAX,
  POOL_DIAL_TIMEOUT_MS,
  POOL_IDLE_MS,
  POOL_LIFETIME_MS,
  POOL_PROBE_TIMEOUT_MS,
  POOL_WAITING_MAX,
} from "../../core/limits.ts";
import {
  checkFunction,
  checkNumber,
  checkTimeout,
  type Known,
  readOptions,
} from "../../core/options.ts";
import { DIAL_OPTIONS, type DialOptions } from "../dial_options.ts";

/** The options of dial that a pool takes: who acquires a connection reads it, and nobody else. */
export type PoolDialOptions = Omit<DialOptions, "signal" | "onRequest">;

/** Looks whether a connection can be used: false, or a rejection, says that it cannot. */
export type Probe = (
  connection: Connection,
  options: { signal: AbortSignal },
) => boolean | void | Promise<boolean | void>;

/** The options of a {@linkcode ConnectionPool}. */
export interface PoolOptions {
  /**
   * The most connections at once, 10 unless given: those on their way included, and those that
   * still send while they close.
   */
  max?: number;
  /** The connections that are kept, and made from the start; 0 unless given. */
  min?: number;
  /** The time in milliseconds that one above `min` may lie idle; 50 s unless given, 0 for ever. */
  idleTimeoutMs?: number;
  /**
   * The longest life of a connection in milliseconds; 30 minutes unless given, 0 for ever. Chance takes
   * up to a fifth off, so that they do not end together. One in use ends when it is released.
   */
  lifetimeMs?: number;
  /** The time in milliseconds that `acquire` waits; 30 s unless given, 0 for ever. */
  timeoutMs?: number;
  /** The number of those who may wait at once; 65536 unless given. */
  waitingMax?: number;
  /** Looks at an idle connection before somebody gets it. */
  probe?: Probe;
  /** Only one that lay idle for so many milliseconds is probed; 0 unless given: each is. */
  probeIdleMs?: number;
  /** The time of a probe, in milliseconds; 5 s unless given. */
  probeTimeoutMs?: number;
  /**
   * Failures of one of several addresses in a row, after which the others are used for a while; 5
   * unless given, 0 for never.
   */
  ejectAfter?: number;
  /** That while, in milliseconds; 1 s unless given. It doubles up to a minute while it fails. */
  ejectMs?: number;
  /** The options of dial for each connection. Its `timeoutMs` is 10 s unless given. */
  dial?: PoolDialOptions;
}

/** The options of {@linkcode ConnectionPool.acquire}. */
export interface AcquireOptions {
  /** The time in milliseconds to wait, instead of the pool's; 0 for ever. */
  timeoutMs?: number;
  /** Gives up, with the signal's reason. */
  signal?: AbortSignal;
}

/** The options of {@linkcode ConnectionPool.drain}. */
export interface PoolDrainOptions {
  /** The time in milliseconds until connections are closed that are still in use; 0 for ever. */
  timeoutMs?: number;
}

/** The result of {@linkcode ConnectionPool.drain}. */
export interface PoolDrainResult {
  /** The connections that somebody still had when the time was over. They were closed. */
  cutCount: number;
}

const POOL_OPTIONS: Known<PoolOptions> = {
  max: 1,
  min: 1,
  idleTimeoutMs: 1,
  lifetimeMs: 1,
  timeoutMs: 1,
  waitingMax: 1,
  probe: 1,
  probeIdleMs: 1,
  probeTimeoutMs: 1,
  ejectAfter: 1,
  ejectMs: 1,
  dial: 1,
};

const { signal: _s, onRequest: _r, ...POOL_DIAL_OPTIONS } = DIAL_OPTIONS;

/** The options of a pool, each with its value. */
export interface PoolSettings extends Readonly<Required<Omit<PoolOptions, "probe" | "dial">>> {
  /** Looks at an idle connection, if somebody does. */
  readonly probe: Probe | null;
  /** The options of dial. */
  readonly dial: PoolDialOptions;
}

/**
 * The options as a user gave them.
 *
 * @throws {TypeError} One is none, or its value is none that it may have.
 * @throws {RangeError} A number is out of range.
 */
export function poolSettings(options: PoolOptions): PoolSettings {
  const {
    max = POOL_CONNECTIONS_MAX,
    min = 0,
    idleTimeoutMs = POOL_IDLE_MS,
    lifetimeMs = POOL_LIFETIME_MS,
    timeoutMs = POOL_ACQUIRE_TIMEOUT_MS,
    waitingMax = POOL_WAITING_MAX,
    probe,
    probeIdleMs = 0,
    probeTimeoutMs = POOL_PROBE_TIMEOUT_MS,
    ejectAfter = EJECT_AFTER,
    ejectMs = EJECT_MS,
    dial: given = {},
  } = readOptions("ConnectionPool", options, POOL_OPTIONS);
  const { timeoutMs: dialMs = POOL_DIAL_TIMEOUT_MS, ...dial } = readOptions(
    "dial of ConnectionPool",
    given,
    POOL_DIAL_OPTIONS,
  );
  checkCallbacks(dial);
  settings(dial);
  if (probe !== undefined) checkFunction("the probe of ConnectionPool", probe);
  return {
    max: checkNumber("max", max, 1, Infinity),
    min: checkNumber("min", min, 0, max),
    idleTimeoutMs: checkTimeout("idleTimeoutMs", idleTimeoutMs),
    lifetimeMs: checkTimeout("lifetimeMs", lifetimeMs),
    timeoutMs: checkTimeout("timeoutMs", timeoutMs),
    waitingMax: checkNumber("waitingMax", waitingMax, 1, Infinity),
    probe: probe ?? null,
    probeIdleMs: checkTimeout("probeIdleMs", probeIdleMs),
    probeTimeoutMs: checkTimeout("probeTimeoutMs", probeTimeoutMs),
    ejectAfter: checkNumber("ejectAfter", ejectAfter, 0, Infinity),
    ejectMs: checkNumber("ejectMs", ejectMs, 1, Infinity),
    dial: { ...dial, timeoutMs: checkTimeout("timeoutMs", dialMs) },
  };
}

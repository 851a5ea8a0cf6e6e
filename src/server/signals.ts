/**
 * Ending a server when the system asks for it.
 */
import process from "node:process";
import { say } from "../core/config.ts";
import { checkOptions, type Known, show } from "../core/options.ts";
import { shutdownMs, type ShutdownOptions, type ShutdownResult } from "./shutdown.ts";

/** The options of {@linkcode shutdownOnSignals}. */
export interface SignalOptions {
  /** The signals that end the server. SIGINT and SIGTERM unless given. */
  signals?: readonly ("SIGINT" | "SIGTERM" | "SIGHUP" | "SIGQUIT")[];
  /**
   * The time in milliseconds for running requests, and for slow peers to take what was flushed.
   * 10000 unless given.
   */
  timeoutMs?: number;
  /** Whether the process exits when all is drained. True unless given. */
  exit?: boolean;
}

/** A server that a signal can end: an {@linkcode EventLoop} or a {@linkcode Cluster}. */
export interface Stoppable {
  /** Lets what runs finish, within a time. */
  shutdown(options?: ShutdownOptions): Promise<unknown>;
}

const SIGNAL_OPTIONS: Known<SignalOptions> = { signals: 1, timeoutMs: 1, exit: "boolean" };
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** The exit status of a process that a signal ended, as shells see it. */
const STATUS: Readonly<Record<string, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGQUIT: 131,
  SIGTERM: 143,
};

/** Throws unless they are signals that can end a server. */
function checkSignals(signals: unknown): void {
  const names = Object.keys(STATUS);
  if (!Array.isArray(signals)) {
    throw new TypeError(`Cannot wait for signals ${show(signals)}: it is an array of their names`);
  }
  for (const signal of signals) {
    if (names.includes(signal)) continue;
    throw new TypeError(`Cannot wait for signal ${show(signal)}: it is one of ${names.join(", ")}`);
  }
}

/** The process may be gone next: who was cut is told of here, or nowhere. */
function reportCut(signal: string, timeoutMs: number, result: unknown): void {
  const cut = (result as Partial<ShutdownResult> | undefined)?.cut ?? 0;
  if (cut === 0) return;
  say(
    "warn",
    `at ${signal} ${cut} ${cut === 1 ? "connection was" : "connections were"} cut by a reset: ` +
      `they were busy for ${timeoutMs} ms, or their peers took nothing of what was flushed`,
  );
}

/**
 * Shuts a loop or a cluster down at the first signal: it stops listening, running requests finish and
 * peers take what was flushed, all within `timeoutMs`, and the process exits with status 0. How many
 * connections were cut goes to `configure({ log })`, if there were any. A second signal cuts
 * what is left and exits at once. The function returned takes it all back.
 *
 * @example
 * ```ts
 * import { createListener, EventLoop, shutdownOnSignals } from "@netpoll/netpoll";
 *
 * const loop = new EventLoop(null);
 * const forget = shutdownOnSignals(loop, { timeoutMs: 5000 });
 * const served = loop.serve(createListener("tcp", "127.0.0.1:0"));
 *
 * forget();
 * await loop.shutdown();
 * await served;
 * ```
 */
export function shutdownOnSignals(loop: Stoppable, options: SignalOptions = {}): () => void {
  checkOptions("shutdownOnSignals", options, SIGNAL_OPTIONS);
  if (typeof loop?.shutdown !== "function") {
    throw new TypeError(`Cannot shut ${show(loop)} down: it is no EventLoop and no Cluster`);
  }
  const { signals = ["SIGINT", "SIGTERM"], timeoutMs = SHUTDOWN_TIMEOUT_MS, exit = true } = options;
  checkSignals(signals);
  shutdownMs({ timeoutMs });
  let isAsked = false;
  const now = new AbortController();
  const onSignal = async (signal: string) => {
    if (isAsked) {
      // The kernel would end in order what this process had still to send.
      now.abort();
      process.exit(STATUS[signal] ?? 1);
    }
    isAsked = true;
    reportCut(signal, timeoutMs, await loop.shutdown({ timeoutMs, signal: now.signal }));
    forget();
    if (exit) process.exit(0);
  };
  const forget = () => {
    for (const signal of signals) process.removeListener(signal, onSignal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  return forget;
}

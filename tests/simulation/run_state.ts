/**
 * What one schedule holds its program to: every promise settles, and fails only with errors that
 * say what happened.
 */
import type { Library } from "./copy.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import { runtime } from "./runtime.ts";
import type { Socket } from "./socket.ts";

/** The reason of signals that are aborted on purpose. */
export const ABORTED: Error = new Error("aborted on purpose");

/** One schedule while it runs. */
export class RunState {
  readonly library: Library;
  /** Nothing fails but by what the program and its peers do. */
  isCalm = true;
  /** The library has said that memory stays pinned for good: nobody could be told of its release. */
  hasLostMemory = false;
  /** Promises that have not settled, each with what it stands for. */
  readonly #pending = new Map<number, string>();
  #nextPromise = 0;
  /** What has to hold at the end. */
  readonly #finally: (() => void)[] = [];

  constructor(library: Library) {
    this.library = library;
  }

  /** Looks at something when all is over. */
  atEnd(look: () => void): void {
    this.#finally.push(look);
  }

  /** An error that the library may give its user. */
  isKnown(error: unknown): boolean {
    if (error === ABORTED) return true;
    const { NetpollError, SystemError } = this.library.api;
    if (error instanceof SystemError && this.isCalm) return isPeersDoing(error.code);
    return error instanceof NetpollError;
  }

  checkError(error: unknown, what: string): void {
    if (!this.isKnown(error)) {
      machine.violate(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }

  /** Nothing is under way: no deadline is left to wake the program for. */
  #lookAtTimers(): void {
    // Without memory, zero-copy sends that nobody can be told of are looked for by a timer.
    if (this.#pending.size > 0 || !this.isCalm) return;
    runtime.later(10, () => {
      const poller = this.library.pollers.threadPollerIfAny();
      if (this.#pending.size > 0 || poller === null || poller.watcherCount > 0) return;
      machine.check(poller.timerCount === 0, "a timer is set although nothing is under way");
    });
  }

  /** A promise that has to settle. */
  follow<T>(
    promise: Promise<T>,
    what: string,
    onDone?: (value: T) => void,
    onError?: (error: unknown) => void,
  ): void {
    const id = this.#nextPromise++;
    this.#pending.set(id, what);
    promise.then((value) => {
      this.#pending.delete(id);
      machine.trace?.(`    ${what} resolves`);
      onDone?.(value);
      this.#lookAtTimers();
    }, (error) => {
      this.#pending.delete(id);
      machine.trace?.(`    ${what} rejects: ${error}`);
      this.checkError(error, what);
      onError?.(error);
      this.#lookAtTimers();
    });
  }

  /** Calls the library, which may refuse. What it returned; undefined when it threw. */
  attempt<T>(what: string, call: () => T): T | undefined {
    machine.trace?.(`  ${what}`);
    try {
      return call();
    } catch (error) {
      machine.trace?.(`    it throws: ${error}`);
      this.checkError(error, what);
      return undefined;
    }
  }

  /** A signal that is aborted soon, now and then. */
  signal(): AbortSignal | undefined {
    if (!machine.random.chance(0.06)) return undefined;
    const controller = new AbortController();
    runtime.later(machine.random.below(3000), () => controller.abort(ABORTED));
    return controller.signal;
  }

  /** Waits for something that is not the library's. */
  outside(micros: number): Promise<void> {
    return new Promise((resolve) => runtime.later(machine.random.below(micros), resolve));
  }

  /** The program computes, for long now and then: meanwhile the world goes on. */
  compute(): void {
    if (machine.random.chance(0.03)) machine.pass(machine.random.below(4000));
  }

  /** The socket of a connection. */
  socketOf(fd: number): Socket {
    return kernel.file(fd) as Socket;
  }

  /** Everything is over: nothing is left. */
  checkEnd(): void {
    for (const what of this.#pending.values()) machine.violate(`it never settles: ${what}`);
    for (const look of this.#finally) look();
    const poller = this.library.pollers.threadPollerIfAny();
    if (poller !== null) {
      const { watcherCount, timerCount, againCount, pace: { outsideWaits } } = poller;
      machine.check(watcherCount === 0, `${watcherCount} descriptors are still watched`);
      machine.check(timerCount === 0, `${timerCount} timers are still set`);
      machine.check(againCount === 0, `${againCount} watchers still have more to do`);
      machine.check(outsideWaits === 0, `${outsideWaits} handlers are thought to wait`);
    }
    if (this.hasLostMemory) return;
    const { usedCount } = this.library.blocks.blocks.counts();
    machine.check(usedCount === 0, `${usedCount} blocks are still in use`);
    const { pinnedBytes } = this.library.blocks.blocks;
    machine.check(pinnedBytes === 0, `${pinnedBytes} bytes are still pinned`);
  }

  /** The poller is gone, too: so is every descriptor. */
  checkClosed(): void {
    const open = kernel.open.filter((fd) => kernel.file(fd) !== kernel.runtimeLoop);
    machine.check(open.length === 0, `descriptors are still open: ${open.join(", ")}`);
  }
}

function isPeersDoing(code: string): boolean {
  return code === "ECONNRESET" || code === "EPIPE" || code === "ECONNREFUSED";
}

/**
 * The runtime that is simulated: its macrotasks, its timers, its poll of the waker's socket. Only
 * microtasks are real.
 */
import type { Host } from "../../ffi/host.ts";
import { host as real } from "../../ffi/runtime.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";

/** The number that an immediate or a timer of this runtime has. */
export interface Handle {
  readonly id: number;
  unref(): Handle;
}

interface Timer extends Handle {
  readonly run: () => void;
}

/** So many rounds within so long, without anything that happens outside: something spins. */
const IDLE_TICKS_MAX = 300;
const IDLE_MICROS = 20_000;

/** Macrotasks. */
export class Runtime {
  /** Whether the runtime can drain its microtasks within a macrotask. */
  canDrain = true;
  ticksToPollSockets = 0;
  /** Macrotasks so far. */
  taskCount = 0;
  #immediates: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  #tasks: (() => void)[] = [];
  #nextId = 1;
  #onReadable: (() => void) | null = null;
  #isReadable = false;
  #emptyTicks = 0;
  /** Rounds since something happened outside, and since when they are counted. */
  #idleTicks = 0;
  #idleSince = 0;
  #happenings = 0;

  reset(): void {
    this.#immediates = [];
    this.#timers.clear();
    this.#tasks = [];
    this.#onReadable = null;
    this.#isReadable = false;
    this.#nextId = 1;
    this.#emptyTicks = 0;
    this.#idleTicks = 0;
    kernel.onByte = () => this.#onByte();
  }

  #onByte(): void {
    this.#isReadable = true;
    kernel.runtimeLoop.add();
  }

  /** The waker's socket is polled from now on. */
  adopt(onReadable: () => void): void {
    this.#onReadable = onReadable;
  }

  forget(): void {
    this.#onReadable = null;
  }

  setImmediate(run: () => void): Handle {
    this.#immediates.push(run);
    return this.#handle();
  }

  #handle(): Handle {
    // The program has begun something of its own meanwhile.
    if (machine.random.chance(0.02)) this.#nextId += 1;
    const handle: Handle = { id: this.#nextId++, unref: () => handle };
    return handle;
  }

  setTimeout(run: () => void, ms: number): Handle {
    const timer: Timer = { id: this.#nextId++, run, unref: () => timer };
    this.#timers.add(timer);
    machine.after(1000 * ms, () => {
      if (this.#timers.delete(timer)) this.#tasks.push(run);
    });
    return timer;
  }

  clearTimeout(timer: Handle): void {
    this.#timers.delete(timer as Timer);
  }

  /** Runs a step of the user's in so many microseconds, as a macrotask of its own. */
  later(micros: number, run: () => void): void {
    machine.after(micros, () => this.#tasks.push(run));
  }

  #run(task: () => void): void {
    machine.pass(1 + machine.random.below(3));
    this.taskCount += 1;
    task();
    real.drainMicrotasks!();
  }

  /** One round of the loop. Whether it had anything to do. */
  #tick(): boolean {
    let isBusy = false;
    const tasks = this.#tasks;
    if (tasks.length > 0) {
      this.#tasks = [];
      for (const task of tasks) this.#run(task);
      isBusy = true;
    }
    if (this.#isReadable && this.#onReadable !== null && this.#pollsSockets()) {
      this.#isReadable = false;
      kernel.runtimeLoop.take();
      this.#run(this.#onReadable);
      isBusy = true;
    }
    const immediates = this.#immediates;
    if (immediates.length > 0) {
      this.#immediates = [];
      for (const immediate of immediates) this.#run(immediate);
      isBusy = true;
    }
    this.#countIdle();
    return isBusy;
  }

  /** Counts rounds in a row in which there was no news, within a time in which few are due. */
  #countIdle(): void {
    const isNews = this.#happenings !== machine.happenings;
    this.#happenings = machine.happenings;
    if (isNews || machine.nowMicros - this.#idleSince > IDLE_MICROS) {
      this.#idleTicks = 0;
      this.#idleSince = machine.nowMicros;
    }
    this.#idleTicks += 1;
  }

  /** Deno polls its sockets every few macrotasks, or when it has nothing else to do. */
  #pollsSockets(): boolean {
    this.#emptyTicks += 1;
    if (this.#emptyTicks <= this.ticksToPollSockets && this.#immediates.length > 0) return false;
    this.#emptyTicks = 0;
    return true;
  }

  /** Runs until nothing is left to do, now and later, or something is wrong. */
  run(ticksMax: number): void {
    for (let ticks = 0; machine.violation === null; ticks++) {
      if (ticks > ticksMax) return machine.violate(`it goes on for more than ${ticksMax} ticks`);
      if (this.#idleTicks > IDLE_TICKS_MAX) return machine.violate("it spins");
      if (!this.#tick() && !machine.sleep()) return;
    }
  }
}

/** The one runtime of this thread. */
export const runtime: Runtime = new Runtime();

/** The host that the library sees. */
export const host: Host = {
  name: real.name,
  version: real.version,
  pausesTls: real.pausesTls,
  get ticksToPollSockets() {
    return runtime.ticksToPollSockets;
  },
  idOf: (handle) => (handle as Handle).id,
  get drainMicrotasks() {
    return runtime.canDrain ? real.drainMicrotasks : null;
  },
  contexts: real.contexts,
  open() {
    throw new Error("Nothing is opened in a simulation");
  },
  refusal: () => null,
  wrap: (slab) => kernel.memory.slabs[slab as number]!.buffer as ArrayBuffer,
  adopt(_fd, onReadable) {
    runtime.adopt(onReadable);
    return { ref() {}, unref() {}, close: () => runtime.forget() };
  },
  onUnload() {},
  env: () => undefined,
  checkNet() {},
  checkNotDenied() {},
  mayResolve: () => false,
  checkUnix() {},
  plainPath: (path) => path,
  checkRead() {},
  checkWrite() {},
  checkModule() {},
  mayCopyEnv: true,
};

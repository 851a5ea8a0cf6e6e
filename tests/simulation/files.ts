/**
 * Open files of the simulated kernel that are no sockets: epoll sets, counters, timers, pipes.
 */
import { machine } from "./machine.ts";

/** Bits of epoll (epoll_ctl(2)). */
export const IN = 0x001;
export const OUT = 0x004;
export const ERR = 0x008;
export const HUP = 0x010;
export const RDHUP = 0x2000;
const EDGE = 0x8000_0000;
const UNMASKABLE = ERR | HUP;
/** Every waiter is woken, whatever it waits for. */
export const ANY = -1;
/** The bit of libnetpoll.c that asks for zero-copy completions. */
const COMPLETIONS = 0x0100_0000;
const COMPLETIONS_MAX = 4;

export const EAGAIN = 11;
export const EINVAL = 22;
export const EPIPE = 32;
const ENOENT = 2;
const EEXIST = 17;

/** An open file. Descriptors are numbers of it. */
export abstract class OpenFile {
  /** How many descriptors stand for it. */
  references = 0;
  readonly items: Item[] = [];
  /** Told of changes: whoever uses the file without a descriptor. */
  onNotify: (() => void) | null = null;

  /** What could be done without waiting, in bits of epoll. */
  abstract get mask(): number;

  /** Something has changed: whoever waits for it looks. */
  notify(bits: number): void {
    for (const item of this.items) if ((item.events & bits) !== 0) item.set.list(item);
    this.onNotify?.();
  }

  /** The last descriptor was closed. */
  onClose(): void {}

  /** Takes the zero-copy completions that are there: (lo, hi, code) each. */
  takeCompletion(): readonly [lo: number, hi: number, code: number] | null {
    return null;
  }
}

/** A descriptor that an epoll set watches. */
interface Item {
  readonly set: Epoll;
  readonly fd: number;
  readonly file: OpenFile;
  token: number;
  events: number;
  drains: boolean;
  isEdge: boolean;
  isListed: boolean;
}

/** An epoll set: a list of what may be ready, which each wait looks at (fs/eventpoll.c). */
export class Epoll extends OpenFile {
  readonly #items = new Map<number, Item>();
  #ready: Item[] = [];

  get mask(): number {
    return this.#ready.some(isReady) ? IN : 0;
  }

  /** An item may be ready. */
  list(item: Item): void {
    if (!item.isListed) this.#ready.push(item);
    item.isListed = true;
    this.notify(IN);
    this.onReady?.();
  }

  /** Told when something may be ready. */
  onReady: (() => void) | null = null;

  /** epoll_ctl(2). */
  control(op: number, fd: number, file: OpenFile, token: number, events: number): number {
    const known = this.#items.get(fd);
    if (op === 1) {
      if (known?.file === file) return -EEXIST;
      const item = {
        set: this,
        fd,
        file,
        token,
        events: 0,
        drains: false,
        isEdge: false,
        isListed: false,
      };
      this.#items.set(fd, item);
      file.items.push(item);
      this.#interest(item, token, events);
      return 0;
    }
    if (known === undefined) return -ENOENT;
    if (op === 3) this.#interest(known, token, events);
    else this.#forget(known);
    return 0;
  }

  #interest(item: Item, token: number, events: number): void {
    item.token = token;
    item.events = (events & ~COMPLETIONS & ~EDGE) | UNMASKABLE;
    item.drains = (events & COMPLETIONS) !== 0;
    item.isEdge = (events & EDGE) !== 0;
    if (isReady(item)) this.list(item);
  }

  #forget(item: Item): void {
    this.#items.delete(item.fd);
    item.file.items.splice(item.file.items.indexOf(item), 1);
    const at = this.#ready.indexOf(item);
    if (at >= 0) this.#ready.splice(at, 1);
  }

  /** A file is gone. */
  forgetFile(file: OpenFile): void {
    for (const item of [...file.items]) if (item.set === this) this.#forget(item);
  }

  override onClose(): void {
    for (const item of [...this.#items.values()]) this.#forget(item);
  }

  /** Takes what is ready, as np_epoll_wait does. */
  take(out: Uint32Array, capacity: number): number {
    const looked = this.#ready;
    this.#ready = [];
    let [count, completions, seen] = [0, 0, 0];
    for (; seen < looked.length && count < capacity; seen++) {
      const item = looked[seen]!;
      item.isListed = false;
      let bits = item.file.mask & item.events;
      if (bits === 0) continue;
      if (!item.isEdge) this.list(item);
      if (item.drains && (bits & ERR) !== 0) {
        const taken = drain(item, out, 2 * capacity + 4 * completions);
        completions += taken;
        if (taken > 0 && (bits & HUP) === 0) bits &= ~ERR;
        if (bits === 0) continue;
      }
      out[2 * count] = item.token;
      out[2 * count++ + 1] = bits;
    }
    // What was not looked at stands before what is looked at again.
    if (seen < looked.length) this.#ready = [...looked.slice(seen), ...this.#ready];
    return count | completions << 16;
  }
}

function isReady(item: Item): boolean {
  return (item.file.mask & item.events) !== 0;
}

function drain(item: Item, out: Uint32Array, at: number): number {
  let count = 0;
  for (; count < COMPLETIONS_MAX; count++) {
    const range = item.file.takeCompletion();
    if (range === null) break;
    out.set([item.token, ...range], at + 4 * count);
  }
  return count;
}

/** A number that can be waited for: an eventfd, or the loop of the runtime. */
export class Counter extends OpenFile {
  count = 0;

  get mask(): number {
    return this.count > 0 ? IN : 0;
  }

  add(): number {
    this.count += 1;
    this.notify(IN);
    return 0;
  }

  take(): number {
    const { count } = this;
    this.count = 0;
    return count === 0 ? -EAGAIN : count;
  }
}

/** A timerfd: it expires once, and then again when it was read (fs/timerfd.c). */
export class TimerFile extends Counter {
  #setting = 0;
  #period = 0;

  set(micros: number): number {
    this.count = 0;
    this.#period = micros;
    this.#start();
    return 0;
  }

  #start(): void {
    const setting = ++this.#setting;
    if (this.#period === 0) return;
    machine.after(this.#period, () => {
      if (setting === this.#setting && this.references > 0) this.add();
    }, false);
  }

  override take(): number {
    const count = super.take();
    if (count > 0) this.#start();
    return count;
  }

  override onClose(): void {
    this.#setting += 1;
  }
}

/** Bytes between the ends of a pipe. */
export class PipeBytes {
  readonly reading: PipeEnd = new PipeEnd(this, true);
  readonly writing: PipeEnd = new PipeEnd(this, false);
  capacity = 64 * 1024;
  bytes: Uint8Array = new Uint8Array(64 * 1024);
  length = 0;

  /** Puts bytes in. */
  put(from: Uint8Array): number {
    if (this.reading.references === 0) return -EPIPE;
    const count = Math.min(from.length, this.capacity - this.length);
    if (count === 0) return -EAGAIN;
    this.bytes.set(from.subarray(0, count), this.length);
    this.length += count;
    this.reading.notify(IN);
    return count;
  }

  /** Takes bytes out. 0 at the end. */
  get(to: Uint8Array): number {
    const count = Math.min(to.length, this.length);
    if (count === 0) return this.writing.references === 0 ? 0 : -EAGAIN;
    to.set(this.bytes.subarray(0, count));
    this.bytes.copyWithin(0, count, this.length);
    this.length -= count;
    this.writing.notify(OUT);
    return count;
  }
}

/** One end of a pipe (fs/pipe.c). */
export class PipeEnd extends OpenFile {
  readonly pipe: PipeBytes;
  readonly reads: boolean;

  constructor(pipe: PipeBytes, reads: boolean) {
    super();
    this.pipe = pipe;
    this.reads = reads;
  }

  get mask(): number {
    const { length, capacity, reading, writing } = this.pipe;
    if (this.reads) return (length > 0 ? IN : 0) | (writing.references === 0 ? HUP : 0);
    return (length < capacity ? OUT : 0) | (reading.references === 0 ? ERR : 0);
  }

  override onClose(): void {
    const { reading, writing } = this.pipe;
    (this.reads ? writing : reading).notify(ANY);
  }
}

/** A file with bytes that never change. */
export class RegularFile extends OpenFile {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
  }

  get mask(): number {
    return IN | OUT;
  }
}

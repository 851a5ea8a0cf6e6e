/**
 * The descriptors of the simulated kernel, and the trouble that its calls may meet.
 */
import type { OpenFile } from "./files.ts";
import { machine } from "./machine.ts";
import { Listener, Socket } from "./socket.ts";

export const EBADF = 9;
export const EMFILE = 24;
const FD_FIRST = 3;

/** How often calls fail or do less than they were asked for: probabilities. */
export interface Trouble {
  /** Receiving and sending: not now, although it was reported. */
  readonly notNow: number;
  /** Receiving and sending: less than there is, or than there is room for. */
  readonly short: number;
  /** No descriptor or memory is left. */
  readonly exhausted: number;
  /** A wait is interrupted. */
  readonly interrupted: number;
}

/** No trouble at all. */
export const CALM: Trouble = { notNow: 0, short: 0, exhausted: 0, interrupted: 0 };

/** A table of open files. */
export class Descriptors {
  trouble: Trouble = CALM;
  /** The sockets that listen, by their ports. */
  readonly listeners: Map<number, Listener> = new Map();
  protected readonly files: (OpenFile | undefined)[] = [];

  /** The numbers that are open. */
  get open(): number[] {
    return Object.keys(this.files).map(Number).filter((fd) => this.files[fd] !== undefined);
  }

  /** The file behind a descriptor; undefined for none. */
  file(fd: number): OpenFile | undefined {
    return this.files[fd];
  }

  /** The same; a descriptor that is not open is a violation. */
  protected fileOf(fd: number): OpenFile | undefined {
    const file = this.files[fd];
    if (file === undefined) machine.violate(`descriptor ${fd} is used, and is not open`);
    return file;
  }

  /** The lowest free number (open(2)). */
  add(file: OpenFile): number {
    let fd = FD_FIRST;
    while (this.files[fd] !== undefined) fd += 1;
    this.files[fd] = file;
    file.references += 1;
    return fd;
  }

  /** Whether a trouble of such a probability comes. */
  protected isTroubled(probability: number): boolean {
    return probability > 0 && machine.random.chance(probability);
  }

  /** Whether no descriptor or memory is left, just now. */
  protected get isExhausted(): boolean {
    return this.isTroubled(this.trouble.exhausted);
  }

  /** The number of a new file, unless none is left. */
  protected addUnlessExhausted(make: () => OpenFile): number {
    return this.isExhausted ? -EMFILE : this.add(make());
  }

  close(fd: number): number {
    const file = this.files[fd];
    if (file === undefined) {
      machine.violate(`descriptor ${fd} is closed, and is not open`);
      return -EBADF;
    }
    this.files[fd] = undefined;
    file.references -= 1;
    if (file.references > 0) return 0;
    if (file instanceof Socket) {
      const isLate = file.isPinning && !file.isBroken;
      machine.check(!isLate, `descriptor ${fd} is closed while the kernel sends from our memory`);
    }
    if (file instanceof Listener) this.listeners.delete(file.local[1]);
    file.onClose();
    for (const item of [...file.items]) item.set.forgetFile(file);
    return 0;
  }
}

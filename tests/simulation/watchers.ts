/**
 * Watchers of a poller without connections: added, changed and removed in each other's events.
 */
import type { Watcher } from "../../src/poll/watcher.ts";
import { Counter } from "./files.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import type { RunState } from "./run_state.ts";
import { runtime } from "./runtime.ts";

const READ = 0x001 | 0x2000;
const NONE = 0;

/** What the watchers of one schedule share. */
interface Crowd {
  readonly run: RunState;
  readonly members: Set<Member>;
  /** How many more there will be. */
  left: number;
}

/** A watcher of a number. */
class Member implements Watcher {
  readonly counter = new Counter();
  readonly fd: number = kernel.add(this.counter);
  readonly #crowd: Crowd;
  #token = -1;
  #isPaused = false;
  #isAsking = false;
  /** Something has been there. */
  #hasCome = false;

  constructor(crowd: Crowd) {
    this.#crowd = crowd;
    crowd.members.add(this);
  }

  get #poller() {
    return this.#crowd.run.library.pollers.threadPoller();
  }

  /** Begins. What comes is added from outside. */
  begin(): void {
    this.#token = this.#poller.add(this, READ);
    for (let n = machine.random.below(6); n > 0; n--) {
      machine.after(machine.random.below(4000), () => {
        if (this.counter.references === 0) return;
        this.#hasCome = true;
        this.counter.add();
      });
    }
  }

  onEvent(events: number): void {
    machine.trace?.(`  an event of descriptor ${this.fd}: ${events}`);
    if (events === 0) {
      machine.check(this.#isAsking, `descriptor ${this.fd} gets a turn without asking`);
      this.#isAsking = false;
      if (this.#token < 0) return; // it has asked before it was removed
    }
    machine.check(this.#token >= 0, `descriptor ${this.fd} is told of events after its removal`);
    // It may have taken what was there in a turn that it had asked for.
    const isOwn = events === 0 || this.#hasCome;
    machine.check(isOwn, `descriptor ${this.fd} is told of what never came`);
    if (machine.random.chance(0.8)) this.counter.take();
    this.#act();
    this.#crowd.run.compute();
  }

  onFailure(error: unknown): void {
    machine.violate(`a watcher failed: ${error}`);
  }

  #act(): void {
    const { random } = machine;
    const way = random.below(6);
    if (way === 0) this.#pause();
    if (way === 1) {
      this.#isAsking = true;
      this.#poller.again(this);
    }
    if (way < 4) return;
    // Whoever comes in its place may get its number and its slot.
    random.pick([...this.#crowd.members]).end();
    if (this.#crowd.left-- > 0) new Member(this.#crowd).begin();
  }

  #pause(): void {
    this.#isPaused = true;
    this.#poller.modify(this.#token, this.fd, NONE);
    runtime.later(machine.random.below(500), () => this.#resume());
  }

  #resume(): void {
    if (this.#token < 0 || !this.#isPaused) return;
    this.#isPaused = false;
    this.#poller.modify(this.#token, this.fd, READ);
  }

  /** Is watched no more. */
  end(): void {
    if (this.#token < 0) return;
    this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
    this.#crowd.members.delete(this);
    kernel.close(this.fd);
  }
}

/** A crowd of watchers. */
export function watchers(run: RunState): void {
  // A watcher that cannot be added is nobody's here: its user would have an error.
  kernel.trouble = { ...kernel.trouble, exhausted: 0 };
  const crowd: Crowd = { run, members: new Set(), left: 10 };
  for (let n = 2 + machine.random.below(5); n > 0; n--) new Member(crowd).begin();
  runtime.later(50_000, () => {
    for (const member of crowd.members) {
      machine.check(member.counter.count === 0, `nobody tells descriptor ${member.fd}`);
    }
    for (const member of [...crowd.members]) member.end();
  });
}

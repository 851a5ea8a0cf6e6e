/**
 * A limit of the kernel on the memory of a process (cgroups(7)), where this user may set one.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { eventually } from "./eventually.ts";

/** The folder that groups of memory lie in, and the file of their limit: version 1, version 2. */
const [ROOT, LIMIT] = existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes")
  ? ["/sys/fs/cgroup/memory/", "memory.limit_in_bytes"]
  : ["/sys/fs/cgroup/", "memory.max"];

let count = 0;

/** A group of one process. */
export class MemoryGroup {
  /** The command that another one is run by, to be in the group. */
  readonly wrap: readonly string[];
  readonly #path = `${ROOT}netpoll-${process.pid}-${count++}`;

  /** Makes one. @throws This user may not, or there is no such thing here. */
  constructor(bytesMax: number) {
    mkdirSync(this.#path);
    try {
      writeFileSync(`${this.#path}/${LIMIT}`, `${bytesMax}`, { flag: "r+" });
    } catch (error) {
      rmdirSync(this.#path);
      throw error;
    }
    this.wrap = ["sh", "-c", `echo $$ > ${this.#path}/cgroup.procs && exec "$@"`, "sh"];
  }

  /** Removes it; its process has ended, or does so now: until then the kernel keeps it. */
  async remove(): Promise<void> {
    await eventually(() => this.#isRemoved(), `the end of ${this.#path}`);
  }

  #isRemoved(): boolean {
    try {
      rmdirSync(this.#path);
      return true;
    } catch (error) {
      if ((error as { code?: string }).code !== "EBUSY") throw error;
      return false;
    }
  }
}

/** Why there can be no group here; "" when there can. */
export function memoryGroupObstacle(): string {
  try {
    void new MemoryGroup(1 << 30).remove(); // at once: nothing is in it
    return "";
  } catch (error) {
    return `no limit of memory can be set here: ${(error as Error).message}`;
  }
}

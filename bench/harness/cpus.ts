/**
 * The CPUs that a bench may use: a container or a taskset may have taken some away.
 */
import { readFileSync } from "node:fs";

/** The numbers of a list as the kernel writes it: "0-2,5". */
export function cpusOf(list: string): number[] {
  return list.trim().split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
  });
}

function allowed(): number[] {
  const status = readFileSync("/proc/self/status", "utf8");
  return cpusOf(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)![1]!);
}

const [first, second] = allowed();

/** The CPU of a server unless told otherwise. */
export const SERVER_CPU: number = first!;
/** The CPU of a load: another one, if there is one. */
export const LOAD_CPU: number = second ?? first!;

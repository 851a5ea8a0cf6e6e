/**
 * Coverage as LCOV has it (geninfo(1)), and that of several runs put together.
 */

/** The coverage of one file. */
export interface FileCoverage {
  /** Lines with code, by number: how often each was reached. */
  readonly lines: Map<number, number>;
  /** Branches, by line, block and number: how often each was taken. */
  readonly branches: Map<string, number>;
}

/** The coverage of files, by their paths from the root of the repository. */
export type Coverage = Map<string, FileCoverage>;

function add<Key>(map: Map<Key, number>, key: Key, count: number): void {
  map.set(key, (map.get(key) ?? 0) + count);
}

/** Reads LCOV. Paths that do not lie below the root are left out, and those not wanted. */
export function parseLcov(text: string, root: string, wanted: RegExp): Coverage {
  const coverage: Coverage = new Map();
  let file: FileCoverage | null = null;
  for (const line of text.split("\n")) {
    const [, key, value] = /^(\w+):(.*)$/.exec(line) ?? [];
    if (key === "SF") {
      const path = value!.startsWith(root) ? value!.slice(root.length) : value!;
      file = wanted.test(path) ? { lines: new Map(), branches: new Map() } : null;
      if (file !== null) file = coverage.get(path) ?? file;
      if (file !== null) coverage.set(path, file);
    } else if (file !== null && key === "DA") {
      const [number, count] = value!.split(",").map(Number);
      add(file.lines, number!, count!);
    } else if (file !== null && key === "BRDA") {
      const [number, block, branch, taken] = value!.split(",");
      add(file.branches, `${number},${block},${branch}`, taken === "-" ? 0 : Number(taken));
    }
  }
  return coverage;
}

/**
 * Two runtimes together. Both say which lines have code, and not quite the same: what the first one
 * says counts, unless it knows nothing of a file.
 */
export function merge(first: Coverage, second: Coverage): Coverage {
  const merged: Coverage = new Map();
  for (const path of [...new Set([...first.keys(), ...second.keys()])].sort()) {
    const [a, b] = [first.get(path), second.get(path)];
    const { lines, branches } = (a ?? b)!;
    const sums = [...lines].map(([number, count]): [number, number] => [
      number,
      a === undefined ? count : count + (b?.lines.get(number) ?? 0),
    ]);
    merged.set(path, { lines: new Map(sums), branches });
  }
  return merged;
}

/** The number of counts that are not 0, and of all. */
export function reached(counts: Iterable<number>): [reached: number, all: number] {
  let [hit, all] = [0, 0];
  for (const count of counts) {
    all += 1;
    if (count > 0) hit += 1;
  }
  return [hit, all];
}

/** Lines that follow each other and were not reached: the first and the last of each run. */
export function gaps({ lines }: FileCoverage): [first: number, last: number][] {
  const found: [number, number][] = [];
  let isOpen = false;
  for (const [number, count] of [...lines].sort(([a], [b]) => a - b)) {
    if (count === 0 && isOpen) found.at(-1)![1] = number;
    else if (count === 0) found.push([number, number]);
    isOpen = count === 0;
  }
  return found;
}

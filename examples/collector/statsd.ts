/**
 * Metrics of statsd: `name:value|type`, one a line, several a datagram.
 */

const LINE = /^([^:|@]{1,200}):([+-]?[0-9.]+)\|(c|g|ms)(?:\|@([0-9.]+))?$/;
/** Names that are kept. Whoever sends made-up names fills no memory. */
const NAMES_MAX = 10_000;

/** Values of one name. */
interface Sum {
  readonly type: string;
  count: number;
  /** The sum of a counter and of times, the last value of a gauge. */
  value: number;
}

/** The sums of all metrics. */
export class Statsd {
  readonly #sums = new Map<string, Sum>();
  #refusedCount = 0;

  /** Adds the lines of a datagram. */
  add(datagram: string): void {
    for (const line of datagram.split("\n")) if (line !== "") this.#addLine(line);
  }

  #addLine(line: string): void {
    const [, name, value, type, rate = "1"] = LINE.exec(line) ?? [];
    const number = Number(value);
    const isFull = this.#sums.size >= NAMES_MAX && !this.#sums.has(name!);
    if (name === undefined || !Number.isFinite(number) || !(Number(rate) > 0) || isFull) {
      this.#refusedCount += 1;
      return;
    }
    const sum = this.#sums.get(name) ?? { type: type!, count: 0, value: 0 };
    this.#sums.set(name, sum);
    sum.count += 1;
    if (type === "c") sum.value += number / Number(rate);
    else if (type === "ms") sum.value += number;
    // A gauge with a sign is changed by so much.
    else sum.value = /^[+-]/.test(value!) ? sum.value + number : number;
  }

  /** A line each, by name. */
  lines(): string[] {
    const lines = [...this.#sums].sort(([a], [b]) => a < b ? -1 : 1).map(([name, sum]) => {
      const { type, count, value } = sum;
      if (type === "c") return `${name} ${value}`;
      if (type === "g") return `${name} = ${value}`;
      return `${name} ${(value / count).toFixed(1)} ms, ${count} times`;
    });
    if (this.#refusedCount > 0) lines.push(`${this.#refusedCount} lines were no metrics`);
    return lines;
  }
}

/**
 * Metrics of statsd: `name:value|type`, one a line, several a datagram; with a rate of samples
 * (`|@0.1`) and tags (`|#shop:berlin`) behind them.
 */

/** Nothing that leads a terminal is part of a line, for its name is printed. */
const LINE =
  /^([^:|@#\p{C}]{1,200}):([^|\p{C}]{1,200})\|(c|g|ms|h|d|s)((?:\|[^|\p{C}]{1,200}){0,4})$/u;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** Names that are kept, and members of sets. Whoever sends made-up ones fills no memory. */
const NAMES_MAX = 10_000;
const MEMBERS_MAX = 100_000;

/** Values of one name, and of one set of tags. */
interface Sum {
  readonly label: string;
  readonly type: string;
  /** Samples that this stands for. */
  count: number;
  /** The sum of a counter and of times, the last value of a gauge. */
  value: number;
  readonly members: Set<string>;
}

/** The sums of all metrics. */
export class Statsd {
  readonly #sums = new Map<string, Sum>();
  #memberCount = 0;
  #refusedCount = 0;
  #leftOutCount = 0;

  /** Adds the lines of a datagram. */
  add(datagram: string): void {
    for (const line of datagram.split("\n")) if (line !== "") this.#addLine(line);
  }

  #addLine(line: string): void {
    const [, name, value, type, more = ""] = LINE.exec(line.replace(/\r$/, "")) ?? [];
    const fields = more.split("|");
    const rate = Number(fields.find((field) => field.startsWith("@"))?.slice(1) ?? 1);
    const isValue = type === "s" || NUMBER.test(value!) && Number.isFinite(Number(value));
    const isSense = name !== undefined && isValue && rate > 0 && rate <= 1;
    if (!isSense) return void (this.#refusedCount += 1);
    const tags = fields.find((field) => field.startsWith("#"))?.slice(1).split(",").sort();
    const label = tags === undefined ? name : `${name}{${tags}}`;
    const sum = this.#sumOf(label, type!);
    if (sum === null || !this.#addValue(sum, value!, rate)) this.#leftOutCount += 1;
  }

  /** The sum of a name, a new one if need be; null where there is no room for it. */
  #sumOf(label: string, type: string): Sum | null {
    const key = `${type} ${label}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known;
    if (this.#sums.size >= NAMES_MAX) return null;
    const sum = { label, type, count: 0, value: 0, members: new Set<string>() };
    this.#sums.set(key, sum);
    return sum;
  }

  /** True if there was room for it. */
  #addValue(sum: Sum, text: string, rate: number): boolean {
    if (sum.type === "s") return this.#addMember(sum, text);
    const number = Number(text);
    // A gauge with a sign is changed by so much.
    const before = sum.type === "g" && !/^[+-]/.test(text) ? 0 : sum.value;
    const value = before + (sum.type === "g" ? number : number / rate);
    if (!Number.isFinite(value)) return false;
    sum.value = value;
    sum.count += 1 / rate;
    return true;
  }

  #addMember({ members }: Sum, member: string): boolean {
    if (members.has(member)) return true;
    if (this.#memberCount >= MEMBERS_MAX) return false;
    this.#memberCount += 1;
    members.add(member);
    return true;
  }

  /** A line each, by name. */
  lines(): string[] {
    const sorted = [...this.#sums.values()].sort((a, b) => a.label < b.label ? -1 : 1);
    const lines = sorted.map(({ label, type, count, value, members }) => {
      if (type === "c") return `${label} ${value}`;
      if (type === "g") return `${label} = ${value}`;
      if (type === "s") return `${label} ${members.size} different`;
      return `${label} ${(value / count).toFixed(1)} ms, ${Math.round(count)} times`;
    });
    if (this.#refusedCount > 0) lines.push(`${this.#refusedCount} lines were no metrics`);
    if (this.#leftOutCount > 0) lines.push(`${this.#leftOutCount} lines found no room`);
    return lines;
  }
}

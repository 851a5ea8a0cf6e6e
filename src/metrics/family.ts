/**
 * Families: all samples of one name, as Prometheus reads them.
 */
import type { Metrics } from "./metrics.ts";

/** Labels, as they stand between the braces, and a value. */
export type Sample = readonly [labels: string, value: number, suffix?: string];

/** All samples of one name. */
export interface Family<T = Metrics> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly help: string;
  readonly read: (of: T) => Sample[];
  /** Left out where no thread has any. */
  readonly isOptional?: true;
}

/** Reads a value. */
export type Read<V, T = Metrics> = (of: T) => V;

/** A counter of one value. */
export function counter<T = Metrics>(name: string, help: string, read: Read<number, T>): Family<T> {
  return { name: `${name}_total`, type: "counter", help, read: (of) => [["", read(of)]] };
}

/** A gauge of one value. */
export function gauge<T = Metrics>(name: string, help: string, read: Read<number, T>): Family<T> {
  return { name, type: "gauge", help, read: (of) => [["", read(of)]] };
}

/** A counter for each value of a label. */
export function counters<T = Metrics>(
  name: string,
  help: string,
  label: string,
  read: Read<Record<string, number>, T>,
): Family<T> {
  return {
    name: `${name}_total`,
    type: "counter",
    help,
    read: (of) =>
      Object.entries(read(of)).map(([key, value]) => [`${label}="${snake(key)}"`, value]),
  };
}

/** `sendZeroCopy` as `send_zero_copy`; names of errors stay as they are. */
export function snake(name: string): string {
  return name.replace(/[a-z][A-Z]/g, ([a, b]) => `${a}_${b!.toLowerCase()}`);
}

/** A value as it stands between quotes. */
export function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** A thread, or a pool, and the label that tells it from others: none when there is one only. */
export type Labelled<T = Metrics> = readonly [label: string, of: T];

/** A family in the format of Prometheus, with what each of these has. */
export function write<T>(
  { name, type, help, read, isOptional }: Family<T>,
  threads: readonly Labelled<T>[],
): string {
  const full = `netpoll_${name}`;
  const head = `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
  let text = "";
  for (const [label, of] of threads) {
    for (const [own, value, suffix = ""] of read(of)) {
      const labels = label !== "" && own !== "" ? `${label},${own}` : label + own;
      text += `${full}${suffix}${labels === "" ? "" : `{${labels}}`} ${value}\n`;
    }
  }
  return text === "" && isOptional ? "" : head + text;
}

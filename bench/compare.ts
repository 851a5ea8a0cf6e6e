/**
 * Lists the figures that became worse or better than the last recorded ones: `make -C bench compare`.
 * It does not judge: the exit code is 0. `--record 1` makes the last run the recorded one.
 */
import { table } from "./harness/markdown.ts";
import { parse } from "./harness/options.ts";
import {
  type Book,
  type Change,
  changes,
  type MicroResults,
  recordOf,
  recordOfMicro,
  type Remembered,
  serialize,
} from "./harness/record.ts";
import { keepText, readJson, RESULTS } from "./harness/report.ts";
import type { Results } from "./harness/results.ts";

const options = parse({
  results: { help: "the folder of the last runs, bench/results unless given" },
  against: { help: "the folder of record.json, bench/results unless given" },
  record: { help: "1: from now on these runs are the recorded ones", value: "0" },
});

function rowOf({ name, before, after, ratio }: Change): string[] {
  const text = ({ median, low, high }: Change["before"]) =>
    [median, low, high].map((value) => String(Number(value.toPrecision(3)))).join(" · ");
  const percent = `${ratio > 1 ? "+" : ""}${((ratio - 1) * 100).toFixed(0)} %`;
  return [name, text(before), text(after), percent, ratio > 1 ? "worse" : "better"];
}

function compareTo(before: Remembered, after: Remembered): string {
  const found = changes(before.figures, after.figures);
  const common = Object.keys(after.figures).filter((name) => name in before.figures).length;
  const about = `${after.date} against ${before.date}: ${common} figures, ` +
    `${found.length} of them changed by more than the rounds differ.`;
  const machine = before.machine === after.machine
    ? []
    : [`Not the same machine, or not the same versions: ${before.machine}; now ${after.machine}.`];
  const heads = ["figure", "then: median · low · high", "now", "change", ""];
  return [about, ...machine, ...(found.length === 0 ? [] : [table(heads, found.map(rowOf))])]
    .join("\n\n");
}

const book = readJson<Book>("record", options.against ?? RESULTS) ?? {};
const results = readJson<Results>("figures", options.results ?? RESULTS);
const micro = readJson<MicroResults>("micro", options.results ?? RESULTS);
const now: Book = {
  ...(results === null ? {} : { figures: recordOf(results) }),
  ...(micro === null ? {} : { micro: recordOfMicro(micro) }),
};
for (const kind of ["figures", "micro"] as const) {
  const [before, after] = [book[kind], now[kind]];
  if (after === undefined) console.log(`${kind}: nothing was measured yet`);
  else if (before === undefined) console.log(`${kind}: nothing is recorded yet`);
  else console.log(`${kind}: ${compareTo(before, after)}`);
}
if (options.record === "1") {
  keepText("record.json", serialize({ ...book, ...now }), options.against ?? RESULTS);
}

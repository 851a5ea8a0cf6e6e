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
  serialize,
} from "./harness/record.ts";
import { keepText, readJson, RESULTS } from "./harness/report.ts";
import type { Results } from "./harness/results.ts";

const { results: folder = RESULTS, against = RESULTS, record } = parse({
  results: { help: "the folder of the last runs, bench/results unless given" },
  against: { help: "the folder of record.json, bench/results unless given" },
  record: { help: "1: from now on these runs are the recorded ones", value: 0 },
});

function rowOf({ name, before, after, ratio }: Change): string[] {
  const text = ({ median, low, high }: Change["before"]) =>
    [median, low, high].map((value) => String(Number(value.toPrecision(3)))).join(" · ");
  const percent = `${ratio > 1 ? "+" : ""}${((ratio - 1) * 100).toFixed(0)} %`;
  return [name, text(before), text(after), percent, ratio > 1 ? "worse" : "better"];
}

const book = readJson<Book>("record", against) ?? {};
const figures = readJson<Results>("figures", folder);
const micro = readJson<MicroResults>("micro", folder);
const now: Book = {
  ...(figures === null ? {} : { figures: recordOf(figures) }),
  ...(micro === null ? {} : { micro: recordOfMicro(micro) }),
};
for (const kind of ["figures", "micro"] as const) {
  const [before, after] = [book[kind], now[kind]];
  if (before === undefined || after === undefined) {
    console.log(`${kind}: nothing ${after === undefined ? "was measured" : "is recorded"} yet`);
    continue;
  }
  const found = changes(before.figures, after.figures);
  console.log(
    `${kind}: ${after.date} on ${after.machine}, against ${before.date} on ${before.machine}:`,
  );
  console.log(`${found.length} figures changed by more than the rounds differ.`);
  console.log(
    table(["figure", "then: median · low · high", "now", "change", "verdict"], found.map(rowOf)),
  );
}
if (record === 1) keepText("record.json", serialize({ ...book, ...now }), against);

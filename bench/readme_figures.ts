/**
 * Makes README's table and its picture from the last run, as the end of `make bench` does:
 * `make readme-figures`.
 */
import { parse } from "./harness/options.ts";
import { readmePlot } from "./harness/plot.ts";
import { updateReadme } from "./harness/readme.ts";
import { keepText, readJson, RESULTS } from "./harness/report.ts";
import type { Results } from "./harness/results.ts";

const options = parse({
  results: true,
  readme: { help: "the file to write to, README.md unless given" },
});
const folder = options.results ?? RESULTS;
const results = readJson<Results>("figures", folder);
console.error(updateReadme(results, options.readme));
if (results !== null) keepText("readme.svg", readmePlot(results), folder);

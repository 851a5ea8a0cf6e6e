/**
 * Makes README's table of figures from the last run, as the end of `make bench` does:
 * `make readme-figures`.
 */
import type { ClientResults } from "./harness/clients.ts";
import { parse } from "./harness/options.ts";
import { updateReadme } from "./harness/readme.ts";
import { readJson, RESULTS } from "./harness/report.ts";
import type { Results } from "./harness/results.ts";

const options = parse({
  results: true,
  readme: { help: "the file to write to, README.md unless given" },
});
const folder = options.results ?? RESULTS;
const clients = readJson<ClientResults>("client", folder);
console.error(updateReadme(readJson<Results>("figures", folder), clients, options.readme));

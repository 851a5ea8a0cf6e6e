/**
 * Writes the deno.json of the package: ours, without what only this repository needs. Prints the
 * version.
 *
 * Its arguments are the repository and the package.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const [repository, directory] = process.argv.slice(2);
const config = JSON.parse(readFileSync(`${repository}/deno.json`, "utf8"));
for (const key of ["imports", "links", "exclude", "fmt", "lint", "nodeModulesDir"]) {
  delete config[key];
}
writeFileSync(`${directory}/deno.json`, `${JSON.stringify(config, null, 2)}\n`);
console.log(config.version);

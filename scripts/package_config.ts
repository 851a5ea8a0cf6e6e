/**
 * Writes the deno.json of the package: ours, without what only this repository needs.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const config = JSON.parse(readFileSync("deno.json", "utf8"));
for (const key of ["imports", "links", "exclude", "fmt", "lint", "nodeModulesDir"]) {
  delete config[key];
}
writeFileSync(process.argv[2]!, `${JSON.stringify(config, null, 2)}\n`);

/**
 * Adds to the package.json that `deno pack` made what people search for, and the runtimes that it
 * is for.
 *
 * Its arguments are the repository and the package.json.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { LOWEST } from "../ffi/host.ts";

const [repository, path] = process.argv.slice(2) as [string, string];
const { description, keywords } = JSON.parse(readFileSync(`${repository}/package.json`, "utf8"));
const { name, version, ...rest } = JSON.parse(readFileSync(path, "utf8"));
const engines = { bun: `>=${LOWEST.bun}`, deno: `>=${LOWEST.deno}` };
const manifest = { name, version, description, keywords, engines, ...rest };
writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`);

/**
 * The site, made for a test.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A site that was made, and what there is to say of it. */
export interface Site {
  /** The folder of the repository. */
  readonly root: string;
  /** The folder of the pages. */
  readonly folder: string;
  /** The reference as data, in the format of TypeDoc. */
  readonly json: string;
  /** Removes the site. */
  remove(): void;
}

/** Makes the site as `make site` does, in a folder of its own. */
export function makeSite(): Site {
  const root = fileURLToPath(new URL("../../", import.meta.url).href);
  const folder = mkdtempSync(join(tmpdir(), "netpoll-site-"));
  const json = join(folder, "reference.json");
  const run = spawnSync("node_modules/.bin/typedoc", [
    ...["--options", "scripts/site/typedoc.json", "--logLevel", "Warn"],
    ...["--out", folder, "--json", json],
  ], { cwd: root, encoding: "utf8" });
  if (run.status !== 0) {
    throw new Error(`typedoc ended with ${run.status}:\n${run.stderr}${run.stdout}`);
  }
  return { root, folder, json, remove: () => rmSync(folder, { recursive: true }) };
}

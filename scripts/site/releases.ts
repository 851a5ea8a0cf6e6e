/**
 * Adds the pages of each release to the site, and tells each version of all others:
 * `bun scripts/site/releases.ts docs/site`. A release is a tag such as v0.1.0; its pages are made by
 * its own typedoc.json, in docs/site/releases/.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

/** A version in the list that a page shows. */
interface Version {
  name: string;
  /** Its first page, as seen from the folder of the version that is looked at. */
  href: string;
  isThis: boolean;
}

/** The tags of releases among others, as git lists them. */
export function releasesIn(tags: string): string[] {
  return tags.split("\n").filter((tag) => /^v\d+\.\d+\.\d+$/.test(tag));
}

/** Writes the list of versions into the folder of each: the current one first, then the releases. */
export function writeVersions(folder: string, current: string, releases: readonly string[]): void {
  const places = ["", ...releases.map((release) => `releases/${release}/`)];
  const names = [current, ...releases.map((release) => release.slice(1))];
  for (const here of places) {
    const up = here === "" ? "" : "../../";
    const list = places.map((place, n): Version => ({
      name: names[n]!,
      href: `${up}${place}index.html`,
      isThis: place === here,
    }));
    mkdirSync(join(folder, here, "assets"), { recursive: true });
    writeFileSync(
      join(folder, here, "assets/versions.js"),
      `window.versions = ${JSON.stringify(list)};\n`,
    );
  }
}

function git(...argv: string[]): string {
  return execFileSync("git", argv, { encoding: "utf8", maxBuffer: 2 ** 28 });
}

/** Makes the pages of a release, from its own files. */
function makeRelease(release: string, folder: string): void {
  const tree = mkdtempSync(join(tmpdir(), "netpoll-release-"));
  try {
    git(
      "-c",
      "advice.detachedHead=false",
      "clone",
      "-q",
      "--shared",
      "--branch",
      release,
      ".",
      tree,
    );
    symlinkSync(resolve("node_modules"), join(tree, "node_modules"));
    const options = ["--options", "scripts/site/typedoc.json", "--out", folder];
    execFileSync(resolve("node_modules/.bin/typedoc"), options, { cwd: tree, stdio: "inherit" });
  } finally {
    rmSync(tree, { recursive: true });
  }
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? "docs/site");
  const { version } = JSON.parse(readFileSync("deno.json", "utf8"));
  const isReleased = releasesIn(git("tag", "--points-at", "HEAD")).includes(`v${version}`);
  const releases = releasesIn(git("tag", "--list", "--sort=-v:refname"))
    .filter((release) => !isReleased || release !== `v${version}`);
  for (const release of releases) makeRelease(release, join(folder, "releases", release));
  writeVersions(folder, isReleased ? version : "unreleased", releases);
}

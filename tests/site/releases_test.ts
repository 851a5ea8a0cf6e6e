/**
 * The list of versions, with one and with several.
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { releasesIn, writeVersions } from "../../scripts/site/releases.ts";
import { withDirectory } from "../support/library.ts";

/** The list of a folder, as "name href", and "*" for the one that is looked at. */
function listIn(folder: string): string[] {
  const [, json] = /^window\.versions = (.*);\n$/.exec(
    readFileSync(`${folder}/assets/versions.js`, "utf8"),
  )!;
  return JSON.parse(json!).map((each: { name: string; href: string; isThis: boolean }) =>
    `${each.name} ${each.href}${each.isThis ? " *" : ""}`
  );
}

test("writeVersions() lists the current version alone, when nothing is released", () =>
  withDirectory((folder) => {
    writeVersions(folder, "unreleased", []);
    assertEquals(listIn(folder), ["unreleased index.html *"]);
  }));

test("writeVersions() tells each version of all, as seen from its own folder", () =>
  withDirectory((folder) => {
    writeVersions(folder, "unreleased", ["v0.2.0", "v0.1.0"]);
    assertEquals(listIn(folder), [
      "unreleased index.html *",
      "0.2.0 releases/v0.2.0/index.html",
      "0.1.0 releases/v0.1.0/index.html",
    ]);
    assertEquals(listIn(`${folder}/releases/v0.1.0`), [
      "unreleased ../../index.html",
      "0.2.0 ../../releases/v0.2.0/index.html",
      "0.1.0 ../../releases/v0.1.0/index.html *",
    ]);
  }));

test("releasesIn() takes tags of versions, and no others", () => {
  assertEquals(releasesIn("v0.2.0\nnightly\nv0.1.0\nv0.1.0-rc.1\n"), ["v0.2.0", "v0.1.0"]);
});

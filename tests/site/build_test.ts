/**
 * The site as a browser gets it: every link leads somewhere, and nothing comes from elsewhere.
 */
import { assert, assertEquals } from "@std/assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { after, test } from "node:test";
import { buildSite } from "../../scripts/site/build.ts";

const folder = mkdtempSync(join(tmpdir(), "netpoll-site-"));
after(() => rmSync(folder, { recursive: true }));
const count = buildSite(folder);
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => posix.relative(folder, join(entry.parentPath, entry.name)));
const pages = new Map(
  files.filter((file) => file.endsWith(".html"))
    .map((file) => [file, readFileSync(join(folder, file), "utf8")]),
);

/** What the attributes of a page lead to. */
function targetsOf(html: string, attribute: "href" | "src"): string[] {
  return [...html.matchAll(new RegExp(`\\s${attribute}="([^"]*)"`, "g"))].map((match) => match[1]!);
}

/** Links of a page that lead nowhere: no such file, or no such anchor in it. */
function brokenIn(path: string, html: string): string[] {
  return [...targetsOf(html, "href"), ...targetsOf(html, "src")]
    .filter((href) => !/^(https?|data|mailto):/.test(href))
    .filter((href) => {
      const [name = "", hash] = href.split("#");
      const file = name === "" ? path : posix.join(posix.dirname(path), name);
      if (!files.includes(file)) return true;
      const target = file === path ? html : pages.get(file);
      return hash !== undefined && !target?.includes(` id="${hash}"`);
    })
    .map((href) => `${path}: ${href}`);
}

test("buildSite() writes the documents, the guide, the reference and the style", () => {
  assertEquals(files.length, count);
  for (const file of ["index.html", "docs/LIMITS.html", "api/index.html", "api/dial.html"]) {
    assert(pages.has(file), file);
  }
  assert(files.includes("style.css"));
});

test("buildSite() shows an example on the page of every export, types included", () => {
  const without = [...pages].filter(([path, html]) =>
    path.startsWith("api/") && path !== "api/index.html" &&
    !html.includes("<strong>Example</strong>")
  );
  assertEquals(without.map(([path]) => path), []);
});

test("buildSite() makes pages of which every internal link leads to a page and its anchor", () => {
  assertEquals([...pages].flatMap(([path, html]) => brokenIn(path, html)), []);
});

test("brokenIn() names a missing page and a missing anchor, so that the rule above can fail", () => {
  const html = '<a href="nowhere.html">a</a><a href="index.html#nothing">b</a><a href="#c">c</a>';
  assertEquals(brokenIn("x.html", html), [
    "x.html: nowhere.html",
    "x.html: index.html#nothing",
    "x.html: #c",
  ]);
});

test("buildSite() makes pages that load nothing from elsewhere and run no script", () => {
  const loads = [...pages].flatMap(([path, html]) => {
    const links = [...html.matchAll(/<link\b[^>]*href="([^"]*)"/g)].map((match) => match[1]!);
    return [...links, ...targetsOf(html, "src")]
      .filter((href) => /^(https?:)?\/\//.test(href))
      .map((href) => `${path}: ${href}`);
  });
  assertEquals(loads, []);
  assertEquals([...pages].filter(([, html]) => /<script\b/.test(html)).map(([path]) => path), []);
  assert(!/@import|url\(/.test(readFileSync(join(folder, "style.css"), "utf8")));
});

test("buildSite() makes pages that fit a phone and follow its dark mode", () => {
  for (const [path, html] of pages) {
    assert(html.includes('content="width=device-width, initial-scale=1"'), path);
    assert(html.includes('content="light dark"'), path);
    assert(/<title>[^<]+<\/title>/.test(html), path);
  }
  assert(readFileSync(join(folder, "style.css"), "utf8").includes("prefers-color-scheme: dark"));
});

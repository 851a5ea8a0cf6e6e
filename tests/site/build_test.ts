/**
 * The site as a browser gets it: every link leads somewhere, and nothing comes from elsewhere.
 */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { after, test } from "node:test";
import { makeSite } from "./make_site.ts";

const { folder, remove } = makeSite();
after(remove);
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => posix.relative(folder, join(entry.parentPath, entry.name)));
const pages = new Map(
  files.filter((file) => file.endsWith(".html"))
    .map((file) => [file, readFileSync(join(folder, file), "utf8")]),
);

/** The targets of an attribute of one kind of element. The menu's button is a link to "#". */
function targetsOf(html: string, element: string, attribute: "href" | "src"): string[] {
  const pattern = new RegExp(`<${element}\\b[^>]*?\\s${attribute}="([^"]*)"`, "g");
  return [...html.matchAll(pattern)].map((match) => match[1]!).filter((target) => target !== "#");
}

/** Links of a page that lead nowhere: no such file, or no such anchor in it. */
function brokenIn(path: string, html: string): string[] {
  return [...targetsOf(html, "a", "href"), ...targetsOf(html, "\\w+", "src")]
    .filter((href) => !/^(https?|data|mailto):/.test(href))
    .filter((href) => {
      const [name = "", hash] = href.split("#");
      const joined = name === "" ? path : posix.join(posix.dirname(path), name);
      const file = /^\.?$|\/$/.test(joined) ? posix.join(joined, "index.html") : joined;
      if (!files.includes(file)) return true;
      const target = file === path ? html : pages.get(file);
      return hash !== undefined && !target?.includes(` id="${hash}"`);
    })
    .map((href) => `${path}: ${href}`);
}

test("the site has the documents, the guide, and a page of every export", () => {
  const expected = [
    "index.html",
    "documents/docs_LIMITS.html",
    "documents/docs_guide_1-first-server.html",
    "functions/core.dial.html",
    "functions/codec.lines.html",
  ];
  for (const file of expected) assert(pages.has(file), file);
});

test("documents are called as their first headings", () => {
  const titles = [...pages].map(([, html]) => /<title>([^<|]+)/.exec(html)![1]!.trim());
  assert(titles.includes("The life of a connection"), titles.join("\n"));
});

test("pages have one heading of the first level", () => {
  const others = [...pages].filter(([, html]) => [...html.matchAll(/<h1\b/g)].length !== 1);
  assertEquals(others.map(([path]) => path), []);
});

test("every internal link leads to a page and its anchor", () => {
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

test("pages load nothing from elsewhere", () => {
  const loads = [...pages].flatMap(([path, html]) => {
    return [...targetsOf(html, "link", "href"), ...targetsOf(html, "\\w+", "src")]
      .filter((href) => /^(https?:)?\/\//.test(href))
      .map((href) => `${path}: ${href}`);
  });
  assertEquals(loads, []);
  for (const file of files.filter((name) => name.endsWith(".css"))) {
    assert(
      !/@import|url\(["']?(https?:)?\/\//.test(readFileSync(join(folder, file), "utf8")),
      file,
    );
  }
});

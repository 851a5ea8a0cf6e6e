/**
 * The site as a browser gets it: every link leads somewhere, and nothing comes from elsewhere.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { after, test } from "node:test";
import { brokenIn, foreignIn, readSite } from "../../scripts/site/links.ts";
import { makeSite } from "./make_site.ts";

const { folder, remove } = makeSite();
after(remove);
const site = readSite(folder);
const pages = new Map([...site].filter(([path]) => path.endsWith(".html")));

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
  assertEquals([...pages].flatMap(([path, html]) => brokenIn(path, html, site)), []);
});

test("brokenIn() names a missing page and a missing anchor, so that the rule above can fail", () => {
  const html = '<a href="nowhere.html">a</a><a href="index.html#nothing">b</a><a href="#c">c</a>';
  assertEquals(brokenIn("x.html", html, site), [
    "x.html: nowhere.html",
    "x.html: index.html#nothing",
    "x.html: #c",
  ]);
});

test("pages load nothing from elsewhere", () => {
  assertEquals([...site].flatMap(([path, text]) => foreignIn(path, text)), []);
});

test("foreignIn() names scripts, pictures and style sheets of others", () => {
  const html = '<script src="https://a.example/x.js"></script><img src="//b.example/y.png">';
  assertEquals(foreignIn("x.html", html).length, 2);
  assertEquals(foreignIn("x.css", '@import "https://a.example/x.css"; a { color: red }').length, 1);
  assertEquals(foreignIn("x.html", '<a href="https://a.example">a link loads nothing</a>'), []);
});

test("each example is a page, which the list of examples links to", () => {
  const readme = pages.get("documents/examples_README.html")!;
  assertMatch(readme, /href="examples_echo_server_ts\.html"/);
  assertMatch(pages.get("documents/examples_echo_server_ts.html")!, /createListener/);
});

test("pages have a skip link, landmarks, and tables that scroll within themselves", () => {
  for (const [path, html] of pages) {
    assertMatch(html, /<body><a href="#content" class="skip">/, path);
    assertMatch(html, /<main [^]*<\/main>[^]*<nav class="tsd-navigation"/, path);
    const tables = html.match(/<table>/g)?.length ?? 0;
    assertEquals(html.match(/<div class="table"><table>/g)?.length ?? 0, tables, path);
  }
});

test("blocks of code have a button that copies them", () => {
  const html = pages.get("documents/docs_QUESTIONS.html")!;
  const blocks = html.match(/<pre>/g)!.length;
  assert(blocks > 10);
  assertEquals(html.match(/<pre>(?:(?!<\/pre>)[^])*<button/g)!.length, blocks);
});

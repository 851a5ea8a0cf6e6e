import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { highlight } from "../../scripts/site/html.ts";
import { docText, type Links, slug, toHtml } from "../../scripts/site/markdown.ts";

const links: Links = {
  to: (href) => `to:${href}`,
  toExport: (name, member) =>
    name === "dial" ? `dial.html${member ? `#${member}` : ""}` : undefined,
};

test("toHtml() leads a name in code to its page, and leaves other code alone", () => {
  assertEquals(
    toHtml("`dial(a)` `other`", links),
    '<p><a href="dial.html"><code>dial(a)</code></a> <code>other</code></p>\n',
  );
});

test("toHtml() makes one link of a link whose text is a name", () => {
  assertEquals(
    toHtml("[`dial`](x.md)", links),
    '<p><a href="to:x.md"><code>dial</code></a></p>\n',
  );
});

test("toHtml() gives headings the anchors of GitHub, and a second one of the same name its own", () => {
  assertEquals(
    toHtml("## When `flush()` waits\n\n## When flush() waits", links),
    '<h2 id="when-flush-waits">When <code>flush()</code> waits</h2>\n' +
      '<h2 id="when-flush-waits-1">When flush() waits</h2>\n',
  );
  assertEquals(slug("A, b & c"), "a-b--c");
});

test("highlight() escapes what it marks and what it does not", () => {
  assertEquals(
    highlight('if (a < "<b>") x; // <c>', "ts"),
    '<span class="keyword">if</span> (a &#60; <span class="string">&#34;&#60;b&#62;&#34;</span>) x; ' +
      '<span class="comment">// &#60;c&#62;</span>',
  );
  assertEquals(highlight("a < b", "text"), "a &#60; b");
});

test("docText() makes links of linkcode and of documents, and refuses a name that is no export", () => {
  assertEquals(
    docText("As {@linkcode dial}, see docs/X.md.", links),
    "As `dial`, see [docs/X.md](docs/X.md).",
  );
  assertThrows(() => docText("{@linkcode nobody}", links), Error, "it is not exported");
});

/**
 * Markdown to HTML: our documents, and the text of doc comments.
 *
 * @module
 */
import { Marked, type Tokens } from "marked";
import { escapeHtml, highlight } from "./html.ts";

/** Where links of a text lead. */
export interface Links {
  /** The address of what a link names; throws when there is no such thing. */
  to(href: string): string;
  /**
   * The address of an export, or of its member: empty when this very page is it, undefined when
   * there is none.
   */
  toExport(name: string, member?: string): string | undefined;
}

/** The anchor of a heading, as GitHub makes it, so that a link works in both places. */
export function slug(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
}

/** `createListener`, `writer.flush()` or `EventLoop.serve(…)`: a name, and a member if given. */
const NAME = /^([A-Za-z]\w*)(?:\.(\w+))?(?:\(.*\))?$/;

function codespan(text: string, links: Links): string {
  const [, name, member] = NAME.exec(text) ?? [];
  const code = `<code>${escapeHtml(text)}</code>`;
  const href = name === undefined ? undefined : links.toExport(name, member);
  return href ? `<a href="${href}">${code}</a>` : code;
}

/** The text of a heading, as a reader sees it. */
function plain(tokens: Tokens.Generic[]): string {
  return tokens.map((token) => token.tokens ? plain(token.tokens) : token.text ?? "").join("");
}

/** Makes HTML of one text after the other; each has its links and its headings. */
export function toHtml(markdown: string, links: Links): string {
  const slugs = new Map<string, number>();
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth }) {
        const base = slug(plain(tokens));
        const count = slugs.get(base) ?? 0;
        slugs.set(base, count + 1);
        const id = count === 0 ? base : `${base}-${count}`;
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      code({ text, lang }) {
        const language = (lang ?? "").split(" ")[0]!;
        return `<pre><code>${highlight(text, language)}</code></pre>\n`;
      },
      codespan: ({ text }) => codespan(text, links),
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        // A link within a link is none: what a name would have led to yields.
        return `<a href="${escapeHtml(links.to(href))}">${text.replace(/<\/?a\b[^>]*>/g, "")}</a>`;
      },
      image: ({ href, text }) =>
        `<img src="${escapeHtml(links.to(href))}" alt="${escapeHtml(text)}">`,
    },
    hooks: {
      // A wide table scrolls by itself and leaves the page as wide as the screen.
      postprocess: (html) =>
        html.replaceAll("<table>", '<div class="table"><table>')
          .replaceAll("</table>", "</table></div>"),
    },
  });
  return marked.parse(markdown, { async: false });
}

/** The first heading of a document, without its marks. */
export function titleOf(markdown: string, otherwise: string): string {
  return /^# (.+)$/m.exec(markdown)?.[1]?.replace(/`/g, "") ?? otherwise;
}

/** The text of a doc comment: its links and the documents that it names become links of Markdown. */
export function docText(doc: string, links: Links): string {
  return doc
    .replace(/\{@link(?:code)? (\w+)(?:\.(\w+))?\}/g, (_, name: string, member?: string) => {
      const text = member === undefined ? `\`${name}\`` : `\`${name}.${member}\``;
      if (links.toExport(name, member) === undefined) {
        throw new Error(`Cannot link to ${text}: it is not exported`);
      }
      return text;
    })
    .replace(/(?<![\w/[(])docs\/[\w/]+\.md/g, (path) => `[${path}](${path})`);
}

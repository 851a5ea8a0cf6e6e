/**
 * What every page of the site is made of: text that is safe in HTML, coloured code, and the frame
 * around a page.
 *
 * @module
 */
import { posix } from "node:path";

/** Text as it stands, in HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

const KEYWORDS =
  "as|async|await|break|case|catch|class|const|continue|default|do|else|export|extends|false|finally|" +
  "for|from|function|get|if|implements|import|in|instanceof|interface|let|new|null|of|readonly|" +
  "return|static|switch|this|throw|true|try|type|typeof|undefined|using|void|while|yield|" +
  "int|char|struct|unsigned|sizeof|uint32_t|int32_t|int64_t|uint64_t|size_t|define|include";
const CODE = new RegExp(
  [
    String.raw`(?<comment>\/\/.*|\/\*[^]*?\*\/)`,
    String.raw`(?<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|${"`(?:\\\\.|[^`\\\\])*`"})`,
    String.raw`(?<keyword>\b(?:${KEYWORDS})\b)`,
    String.raw`(?<number>\b\d[\w.]*)`,
  ].join("|"),
  "g",
);
const SHELL = /(?<comment>(?<=^|\s)#.*)|(?<string>"[^"\n]*"|'[^'\n]*')/gm;
const GRAMMARS: Readonly<Record<string, RegExp>> = { ts: CODE, c: CODE, sh: SHELL };

/** Code with its comments, strings, keywords and numbers marked; as it stands in other languages. */
export function highlight(code: string, language: string): string {
  const grammar = GRAMMARS[language];
  if (grammar === undefined) return escapeHtml(code);
  let html = "", at = 0;
  for (const match of code.matchAll(grammar)) {
    const kind = Object.entries(match.groups!).find(([, text]) => text !== undefined)![0];
    const text = escapeHtml(match[0]);
    html += `${escapeHtml(code.slice(at, match.index))}<span class="${kind}">${text}</span>`;
    at = match.index + match[0].length;
  }
  return html + escapeHtml(code.slice(at));
}

/** The relative address of one page, seen from another; both are paths within the site. */
export function between(from: string, to: string): string {
  return posix.relative(posix.dirname(from), to) || posix.basename(to);
}

/** A page of the site, before it gets its frame. */
export interface Page {
  /** Where it is, within the site: "docs/LIMITS.html". */
  readonly path: string;
  readonly title: string;
  /** Its content. */
  readonly html: string;
}

/** Links of the navigation under one heading. */
export interface Group {
  readonly title: string;
  readonly links: readonly { readonly path: string; readonly title: string }[];
}

function navigation(path: string, groups: readonly Group[]): string {
  return groups.map(({ title, links }) => {
    const items = links.map((link) => {
      const current = link.path === path ? ' aria-current="page"' : "";
      return `<li><a href="${between(path, link.path)}"${current}>${
        escapeHtml(link.title)
      }</a></li>`;
    });
    return `<h2>${escapeHtml(title)}</h2>\n<ul>\n${items.join("\n")}\n</ul>`;
  }).join("\n");
}

/** A whole page: nothing in it is fetched from elsewhere, and it works without a script. */
export function frame({ path, title, html }: Page, groups: readonly Group[]): string {
  const home = between(path, "index.html");
  const nav = navigation(path, groups);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${between(path, "style.css")}">
</head>
<body>
<header><a href="${home}">netpoll for Deno and Bun</a></header>
<details class="menu"><summary>Contents</summary><nav>
${nav}
</nav></details>
<nav class="side">
${nav}
</nav>
<main>
${html}
</main>
</body>
</html>
`;
}

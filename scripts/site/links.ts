/**
 * Follows every link of the site within it, without a network: `bun scripts/site/links.ts docs/site`.
 * It names what leads nowhere: no such file, or no such anchor in it; and what a page would load
 * from elsewhere.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import process from "node:process";

/** The files of a site, by their paths; pages and style sheets with their text. */
export type Site = ReadonlyMap<string, string>;

/** Reads a site. */
export function readSite(folder: string): Site {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    entries.filter((entry) => entry.isFile()).map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const text = /\.(html|css)$/.test(path) ? readFileSync(path, "utf8") : "";
      return [posix.relative(folder, path), text];
    }),
  );
}

/** The targets of an attribute of one kind of element. The menu's button is a link to "#". */
function targetsOf(html: string, element: string, attribute: "href" | "src"): string[] {
  const pattern = new RegExp(`<${element}\\b[^>]*?\\s${attribute}="([^"]*)"`, "g");
  return [...html.matchAll(pattern)].map((match) => match[1]!).filter((target) => target !== "#");
}

/** Links of a page that lead nowhere. */
export function brokenIn(path: string, html: string, site: Site): string[] {
  return [...targetsOf(html, "\\w+", "href"), ...targetsOf(html, "\\w+", "src")]
    .filter((href) => !/^(https?|data|mailto):/.test(href))
    .filter((href) => {
      const [name = "", hash] = href.split("#");
      const joined = name === "" ? path : posix.join(posix.dirname(path), decodeURI(name));
      const file = /^\.?$|\/$/.test(joined) ? posix.join(joined, "index.html") : joined;
      if (!site.has(file)) return true;
      const isPage = file.endsWith(".html"); // a part of a picture is looked for by the browser
      const target = file === path ? html : site.get(file)!;
      return hash !== undefined && isPage && !target.includes(` id="${decodeURIComponent(hash)}"`);
    })
    .map((href) => `${path}: ${href}`);
}

/** The addresses elsewhere that a page or a style sheet would load. */
export function foreignIn(path: string, text: string): string[] {
  const loads = path.endsWith(".css")
    ? [...text.matchAll(/(?:@import\s+|url\()["']?([^"')]+)/g)].map((match) => match[1]!)
    : [...targetsOf(text, "link", "href"), ...targetsOf(text, "\\w+", "src")];
  return loads.filter((href) => /^(https?:)?\/\//.test(href)).map((href) => `${path}: ${href}`);
}

if (import.meta.main) {
  const site = readSite(process.argv[2] ?? "docs/site");
  const pages = [...site].filter(([path]) => path.endsWith(".html"));
  const broken = pages.flatMap(([path, html]) => brokenIn(path, html, site));
  const foreign = [...site].flatMap(([path, text]) => foreignIn(path, text));
  for (const link of broken) console.error("Leads nowhere:", link);
  for (const link of foreign) console.error("Loads from elsewhere:", link);
  console.log(
    `${pages.length} pages, ${broken.length} broken links, ${foreign.length} foreign loads`,
  );
  process.exitCode = pages.length > 0 && broken.length + foreign.length === 0 ? 0 : 1;
}

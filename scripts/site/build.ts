/**
 * Makes the site: our documents, the reference, and every source file that one of them links to.
 *
 * `bun scripts/site/build.ts docs/site` writes it there; any web server, or none, can show it.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { posix } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { between, escapeHtml, frame, type Group, highlight, type Page } from "./html.ts";
import { type Links, titleOf, toHtml } from "./markdown.ts";
import { Reference } from "./reference.ts";
import { readModule } from "./signature.ts";

const root = fileURLToPath(new URL("../../", import.meta.url).href);

/** What stands in the navigation, in this order; each pattern is of paths of documents. */
const GROUPS: readonly { title: string; documents: RegExp }[] = [
  { title: "Start", documents: /^README\.md$/ },
  { title: "Guide", documents: /^docs\/guide\/[^/]+\.md$/ },
  { title: "In depth", documents: /^docs\/[^/]+\.md$/ },
  { title: "Decisions", documents: /^docs\/decisions\/[^/]+\.md$/ },
  { title: "Project", documents: /^(CHANGELOG|CONTRIBUTING|bench\/README)\.md$/ },
];
const PICTURE = /\.(svg|png)$/;

/** The files of the repository, those included that are not committed yet. */
function listFiles(): string[] {
  const options = ["ls-files", "--cached", "--others", "--exclude-standard"];
  return execFileSync("git", options, { cwd: root, encoding: "utf8" }).trim().split("\n");
}

/** Where a file or folder of the repository is on the site. */
function pathOf(file: string): string {
  if (file === "README.md") return "index.html";
  if (file.endsWith(".md")) return file.replace(/\.md$/, ".html");
  if (PICTURE.test(file)) return file;
  return statSync(root + file).isDirectory() ? `${file}/index.html` : `${file}.html`;
}

/** A source file, each line with its anchor. */
function sourcePage(file: string): Page {
  const language = /\.(ts|mjs)$/.test(file) ? "ts" : /\.[ch]$/.test(file) ? "c" : "";
  const lines = readFileSync(root + file, "utf8").trimEnd().split("\n");
  const html = lines.map((line, i) =>
    // A comment over several lines is one in each of them.
    `<span class="line" id="L${i + 1}">${
      /^\s*(\/\*\*?|\*)/.test(line)
        ? `<span class="comment">${escapeHtml(line)}</span>`
        : highlight(line, language)
    }</span>`
  );
  const body = `<h1>${escapeHtml(file)}</h1>\n<pre><code>${html.join("\n")}</code></pre>`;
  return { path: pathOf(file), title: file, html: body };
}

/** The site as it grows: a page that is linked to is made, and may link to others. */
class Site {
  /** Everything that is to be written, by its path. */
  readonly files = new Map<string, string | Uint8Array>();
  readonly #all = listFiles();
  readonly #wanted: string[] = [];
  readonly #groups: Group[];
  readonly #guide: string[];
  readonly #reference: Reference;

  constructor() {
    const documents = this.#all.filter((file) => file.endsWith(".md"));
    const link = (file: string) => ({
      path: pathOf(file),
      title: file === "README.md" ? "Overview" : titleOf(readFileSync(root + file, "utf8"), file),
    });
    const groups = GROUPS.map(({ title, documents: pattern }) => {
      const chosen = documents.filter((file) => pattern.test(file));
      this.#wanted.push(...chosen);
      return { title, links: chosen.map(link) };
    });
    groups[0]!.links.push({ path: "api/index.html", title: "Reference" });
    this.#groups = groups.filter(({ links }) => links.length > 0);
    this.#guide = documents.filter((file) => GROUPS[1]!.documents.test(file));
    this.#reference = new Reference(readModule(root), root, {
      links: (page) => this.#links(page, ""),
      source: (page, file) => this.#to(page, "", file),
    });
  }

  /** Makes all pages. */
  build(): void {
    for (const page of this.#reference.pages()) this.#add(page);
    const style = `${root}scripts/site/style.css`;
    this.files.set("style.css", readFileSync(style));
    for (let file = this.#wanted.pop(); file !== undefined; file = this.#wanted.pop()) {
      if (this.files.has(pathOf(file))) continue;
      if (PICTURE.test(file)) this.files.set(file, readFileSync(root + file));
      else if (file.endsWith(".md")) this.#add(this.#document(file));
      else if (statSync(root + file).isDirectory()) this.#add(this.#folder(file));
      else this.#add(sourcePage(file));
    }
  }

  #add(page: Page): void {
    this.files.set(page.path, frame(page, this.#groups));
  }

  #document(file: string): Page {
    const path = pathOf(file);
    const text = readFileSync(root + file, "utf8");
    const html = toHtml(text, this.#links(path, posix.dirname(file))) + this.#turn(file);
    return { path, title: titleOf(text, file), html };
  }

  /** From one page of the guide to the one before and the one after. */
  #turn(file: string): string {
    const at = this.#guide.indexOf(file);
    if (at < 0) return "";
    const [before, after] = [this.#guide[at - 1], this.#guide[at + 1]];
    const link = (to: string | undefined, mark: (title: string) => string) =>
      to === undefined
        ? "<span></span>"
        : `<a href="${between(pathOf(file), pathOf(to))}">${
          mark(escapeHtml(titleOf(readFileSync(root + to, "utf8"), to)))
        }</a>`;
    return `<p class="turn">${link(before, (title) => `← ${title}`)}${
      link(after, (title) => `${title} →`)
    }</p>\n`;
  }

  #folder(folder: string): Page {
    const files = this.#all.filter((file) => posix.dirname(file) === folder);
    const path = pathOf(folder);
    const items = files.map((file) =>
      `<li><a href="${this.#to(path, "", file)}">${escapeHtml(posix.basename(file))}</a></li>`
    );
    const html = `<h1>${escapeHtml(folder)}/</h1>\n<ul>\n${items.join("\n")}\n</ul>`;
    return { path, title: folder, html };
  }

  /** Links of a text in a folder of the repository, shown on a page. */
  #links(page: string, folder: string): Links {
    return {
      to: (href) => /^[a-z]+:|^#/.test(href) ? href : this.#to(page, folder, href),
      toExport: (name, member) => {
        const path = this.#reference.find(name, member);
        return path === page ? "" : path && between(page, path);
      },
    };
  }

  /** The address of a file that a text in a folder names, seen from a page; it becomes a page. */
  #to(page: string, folder: string, href: string): string {
    const [name = "", hash] = href.split("#");
    const file = posix.join(folder, name).replace(/\/$/, "");
    const isThere = this.#all.some((one) => one === file || one.startsWith(`${file}/`));
    if (!isThere) throw new Error(`Cannot link from ${page} to ${href}: there is no ${file}`);
    this.#wanted.push(file);
    return between(page, pathOf(file)) + (hash === undefined ? "" : `#${hash}`);
  }
}

/** Writes the site into a folder, in the place of what was there. How many files it has. */
export function buildSite(folder: string): number {
  const site = new Site();
  site.build();
  rmSync(folder, { recursive: true, force: true });
  for (const [path, content] of site.files) {
    mkdirSync(posix.join(folder, posix.dirname(path)), { recursive: true });
    writeFileSync(posix.join(folder, path), content);
  }
  return site.files.size;
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new TypeError("Cannot build the site: name a folder");
  console.log(`${folder}: ${buildSite(folder)} files; open ${folder}/index.html`);
}

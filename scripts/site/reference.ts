/**
 * The reference: a page for each export of mod.ts, made of its doc comments.
 *
 * Not by `deno doc --html`: that writes a page for each member as well, with scripts and with links
 * to a host, and knows nothing of our documents, to which these pages link and which link to them.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { between, escapeHtml, type Page } from "./html.ts";
import { docText, type Links, toHtml } from "./markdown.ts";
import {
  type Declaration,
  type Doc,
  type Export,
  type Member,
  type Module,
  Printer,
  type Type,
} from "./signature.ts";

/** Under which heading an export stands, by the folder of its source. */
const SUBJECTS: Readonly<Record<string, string>> = {
  server: "Servers",
  poll: "Servers",
  client: "Clients",
  connection: "Connections",
  buffer: "Buffers, readers and writers",
  codec: "Frames",
  mux: "Many requests over one connection",
  adapter: "Streams and iterators",
  net: "Listeners, addresses and socket options",
  core: "Errors and configuration",
};

/** How our texts call a thing of each class. */
const USUAL: Readonly<Record<string, string>> = {
  reader: "Reader",
  writer: "Writer",
  connection: "Connection",
  loop: "EventLoop",
  cluster: "Cluster",
  listener: "Listener",
  buffer: "LinkBuffer",
};

/** What the reference needs of the site. */
export interface Site {
  /** Links of a text that is shown on one page and stands in one file. */
  links(page: string, file: string): Links;
  /** The address of a source file, seen from a page. */
  source(page: string, file: string): string;
}

function membersOf({ def }: Declaration): Member[] {
  // The constructor of an interface has no name.
  const constructors = (def.constructors ?? []).map((one) => ({ ...one, name: "constructor" }));
  return [...constructors, ...def.properties ?? [], ...def.methods ?? []];
}

/** Every name of a type that a definition mentions. */
function namesIn(value: unknown, names = new Set<string>()): Set<string> {
  if (typeof value !== "object" || value === null) return names;
  const { typeName } = value as { typeName?: unknown };
  if (typeof typeName === "string") names.add(typeName);
  for (const inner of Object.values(value)) namesIn(inner, names);
  return names;
}

/** What a class or an interface is made of: exports of ours, or types that take from them. */
function basesOf({ def }: Declaration): string[] {
  if (typeof def.extends === "string") return [def.extends];
  return [...namesIn([def.extends ?? [], def.tsType ?? []])];
}

/** The strings of a type: "a" | "b". */
function literalsIn(value: unknown, literals = new Set<string>()): Set<string> {
  if (typeof value !== "object" || value === null) return literals;
  const { kind, string } = value as { kind?: unknown; string?: unknown };
  if (kind === "string" && typeof string === "string") literals.add(string);
  for (const inner of Object.values(value)) literalsIn(inner, literals);
  return literals;
}

function examplesOf(declarations: readonly Declaration[]): string[] {
  const docs = declarations.flatMap((one) => [one, ...membersOf(one)]).map(({ jsDoc }) => jsDoc);
  const tags = docs.flatMap((doc) => doc?.tags ?? []);
  return tags.filter(({ kind }) => kind === "example").map(({ doc }) => doc ?? "");
}

function anchor(name: string): string {
  return name.replace(/[[\]]/g, "");
}

/** All pages of the reference. */
export class Reference {
  readonly #doc: Doc;
  readonly #exports: ReadonlyMap<string, Export>;
  readonly #root: string;
  readonly #site: Site;

  /** The reference of a module, whose sources lie under a folder. */
  constructor({ doc, exports }: Module, root: string, site: Site) {
    this.#doc = doc;
    this.#exports = new Map(exports.map((one) => [one.name, one]));
    this.#root = root;
    this.#site = site;
  }

  /** Where an export, or a member of it or of what it extends, is; undefined when there is none. */
  find(name: string, member?: string): string | undefined {
    const found = this.#exports.get(USUAL[name] ?? name);
    if (found === undefined) return undefined;
    const page = `api/${found.name}.html`;
    if (member === undefined) return USUAL[name] === undefined ? page : undefined;
    const names = found.declarations.flatMap(membersOf).map((one) => one.name);
    if (names.includes(member)) return `${page}#${member}`;
    const bases = found.declarations.flatMap(basesOf).filter((base) => base !== name);
    return bases.map((base) => this.find(base, member)).find((href) => href !== undefined);
  }

  /** The pages, the list of all of them first. */
  pages(): Page[] {
    return [this.#index(), ...[...this.#exports.values()].map((one) => this.#page(one))];
  }

  #file({ location }: Declaration): string {
    return fileURLToPath(location.filename).slice(this.#root.length);
  }

  #index(): Page {
    const path = "api/index.html";
    const subjects = new Map<string, string[]>();
    for (const one of this.#exports.values()) {
      const file = this.#file(one.declarations[0]!);
      const folder = file.split("/")[1]!;
      const subject = SUBJECTS[folder] ?? folder;
      const doc = one.declarations.map(({ jsDoc }) => jsDoc?.doc).find((text) => text) ?? "";
      const first = /^[^]*?\.(?=\s|$)/.exec(doc)?.[0] ?? doc;
      const summary = this.#text(first, path, file).replace(/^<p>|<\/p>\n$/g, "");
      const row = `<tr><td><a href="${one.name}.html"><code>${one.name}</code></a></td>` +
        `<td>${summary}</td></tr>`;
      subjects.set(subject, [...subjects.get(subject) ?? [], row]);
    }
    const html = [...subjects].map(([subject, rows]) =>
      `<h2>${subject}</h2>\n<div class="table"><table>\n${rows.join("\n")}\n</table></div>`
    );
    const lead = this.#comment(this.#doc, path, "mod.ts") +
      "<p>Durations end in <code>Ms</code> and are milliseconds, sizes end in " +
      "<code>Bytes</code>, bounds in <code>Max</code>.</p>";
    return { path, title: "Reference", html: `<h1>Reference</h1>\n${lead}\n${html.join("\n")}` };
  }

  #text(doc: string, page: string, file: string): string {
    const links = this.#site.links(page, file);
    // The paths in a doc comment are the repository's.
    return toHtml(docText(doc, links), links);
  }

  #printer(page: string): Printer {
    return new Printer((name) => {
      const path = this.#exports.has(name) ? `api/${name}.html` : undefined;
      return path === undefined || path === page
        ? escapeHtml(name)
        : `<a href="${between(page, path)}">${name}</a>`;
    });
  }

  #page({ name, declarations }: Export): Page {
    const path = `api/${name}.html`;
    const kinds = declarations.map(({ kind }) => kind === "typeAlias" ? "type" : kind);
    const kind = [...new Set(kinds)].join(", ");
    const shown = declarations.length === 1
      ? declarations
      : declarations.filter(({ kind, def }) => kind !== "function" || !def.hasBody);
    const parts = shown.map((one) => this.#declaration(name, one, path));
    const file = this.#file(declarations[0]!);
    const users = this.#usersOf(name);
    if (examplesOf(declarations).length === 0) parts.push(this.#lentExample(users, path, file));
    if (users.length > 0) {
      const links = users.map((one) => `<a href="${one.name}.html"><code>${one.name}</code></a>`);
      parts.push(`<h2>Used by</h2>\n<p>${links.join(", ")}</p>`);
    }
    const line = declarations[0]!.location.line + 1;
    parts.push(
      `<p class="dim">Source: <a href="${this.#site.source(path, file)}#L${line}">${file}</a></p>`,
    );
    const heading = `<h1>${name} <span class="kind">${kind}</span></h1>`;
    return { path, title: `${name} – netpoll`, html: [heading, ...parts].join("\n") };
  }

  /** The exports whose types mention one. */
  #usersOf(name: string): Export[] {
    return [...this.#exports.values()].filter((one) =>
      one.name !== name && namesIn(one.declarations.map(({ def }) => def)).has(name)
    );
  }

  /** For a type without an example: that of who uses it, or of who uses that. */
  #lentExample(users: readonly Export[], page: string, file: string): string {
    const found = new Set(users); // grows as it is gone through: the nearest comes first
    for (const { name, declarations } of found) {
      const code = examplesOf(declarations)[0]?.replace(/^[^]*?(?=```)/, "");
      if (code !== undefined) {
        return this.#text(`**Example** of \`${name}\`\n\n${code}`, page, file);
      }
      for (const further of this.#usersOf(name)) found.add(further);
    }
    return "";
  }

  #declaration(name: string, declaration: Declaration, page: string): string {
    const print = this.#printer(page);
    const { kind, def, jsDoc } = declaration;
    const file = this.#file(declaration);
    const lines: string[] = [];
    if (kind === "function") lines.push(print.callable(`function ${name}`, def as Member & never));
    else if (kind === "typeAlias") lines.push(`type ${name} = ${print.type(def.tsType!)}`);
    else if (kind === "variable") lines.push(`const ${name}: ${print.type(def.tsType!)}`);
    else {
      const bases = typeof def.extends === "string"
        ? [print.type({ kind: "typeRef", value: { typeName: def.extends } })]
        : (def.extends ?? []).map((type) => print.type(type));
      const upper = bases.length > 0 ? ` extends ${bases.join(", ")}` : "";
      lines.push(`${kind} ${name}${upper}`);
    }
    return [
      `<pre class="signature"><code>${lines.join("\n")}</code></pre>`,
      this.#comment(jsDoc, page, file),
      ...this.#members(declaration, page, file, print),
      this.#alsoHas(declaration, page),
    ].join("\n");
  }

  #members(declaration: Declaration, page: string, file: string, print: Printer): string[] {
    const seen = new Set<string>();
    return membersOf(declaration).filter(({ kind }) => kind !== "setter").map((member) => {
      const { name } = member;
      const id = seen.has(name) ? "" : ` id="${anchor(name)}"`;
      seen.add(name);
      const signature = print.member(member)
        .replace(/^((?:readonly |static )*)([\w[\].]+)/, "$1<b>$2</b>");
      return `<section class="member"${id}>\n<h3><code>${signature}</code></h3>\n` +
        `${this.#comment(member.jsDoc, page, file)}\n</section>`;
    });
  }

  /** The members of the exports that a type takes from: of all, of `Omit` and of `Pick`. */
  #inherited(type: Type): Map<string, string[]> {
    const { typeName, typeParams = [] } = type.value as { typeName: string; typeParams?: Type[] };
    if (typeName === "Omit" || typeName === "Pick") {
      const named = literalsIn(typeParams[1]);
      const inner = this.#inherited(typeParams[0]!);
      const isKept = (name: string) => named.has(name) === (typeName === "Pick");
      return new Map([...inner].map(([from, names]) => [from, names.filter(isKept)]));
    }
    const bases = this.#exports.get(typeName)?.declarations ?? [];
    const names = bases.flatMap(membersOf).map(({ name }) => name);
    const further = bases.flatMap(({ def }) => Array.isArray(def.extends) ? def.extends : []);
    return new Map([[typeName, names], ...further.flatMap((one) => [...this.#inherited(one)])]);
  }

  /** What else it has, by the export that it has it of. */
  #alsoHas({ def }: Declaration, page: string): string {
    const types = Array.isArray(def.extends) ? def.extends : [];
    const groups = types.flatMap((type) => [...this.#inherited(type)])
      .filter(([from, names]) => this.#exports.has(from) && names.length > 0);
    if (groups.length === 0) return "";
    const lines = groups.map(([from, names]) => {
      const path = between(page, `api/${from}.html`);
      const links = names.map((name) =>
        `<a href="${path}#${anchor(name)}"><code>${escapeHtml(name)}</code></a>`
      );
      return `<p>Of <a href="${path}"><code>${from}</code></a>: ${links.join(", ")}</p>`;
    });
    return `<section class="member">\n${lines.join("\n")}\n</section>`;
  }

  /** A doc comment: its text, what it returns, its errors, its examples. */
  #comment(doc: Doc | undefined, page: string, file: string): string {
    if (doc === undefined) return "";
    const text = (markdown = "") => this.#text(markdown, page, file);
    const parts = [text(doc.doc)];
    const of = (kind: string) => (doc.tags ?? []).filter((tag) => tag.kind === kind);
    for (const { doc } of of("return")) parts.push(text(`**Returns** ${doc}`));
    const print = this.#printer(page);
    const rows = of("throws").map(({ tsType, doc }) =>
      `<tr><td><code>${tsType ? print.type(tsType) : ""}</code></td><td>${text(doc)}</td></tr>`
    );
    if (rows.length > 0) {
      parts.push(
        `<p><strong>Throws</strong></p>\n<div class="table"><table>${rows.join("\n")}` +
          "</table></div>",
      );
    }
    for (const { doc } of of("example")) {
      const [, title = "", code = ""] = /^(.*?)(```[^]*)$/s.exec(doc ?? "") ?? [];
      const name = title.trim() === "" ? "" : `: ${title.trim()}`;
      parts.push(text(`**Example**${name}\n\n${code}`));
    }
    return parts.join("\n");
  }
}

// deno-lint-ignore-file explicit-module-boundary-types -- node reads it, which knows no types
/**
 * A plugin of TypeDoc: a document is called as its first heading, and stands among its kind. TypeDoc
 * itself asks for a block of YAML in each file, which would be shown wherever else it is read. Each
 * example is a page, too. What a page needs beside what TypeDoc gives is in page.mjs.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Converter, MinimalSourceFile, Renderer } from "typedoc";
import { accessible } from "./page.mjs";

/** The group of a document, by its path; the first that matches. */
const GROUPS = [
  [/\/docs\/(guide\/|QUESTIONS|PATTERNS)/, "Guide"],
  [/\/docs\/FROM_/, "Coming from"],
  [/\/examples\//, "Examples"],
  [/\/docs\/decisions\//, "Decisions"],
  [/\/bench\/results\//, "Figures"],
  [/\/docs\//, "In depth"],
  [/./, "Project"],
];

/** The first line of a text, in which code stands by itself: "# The ", "`name`", "\n…". */
function headingOf(content) {
  content[0].text = content[0].text.replace(/^#+ /, "# "); // a page of its own has its own first level
  const [line] = content.map(({ text }) => text).join("").split("\n", 1);
  if (!line.startsWith("# ")) {
    throw new Error(`A document begins with "${line}", not with a heading`);
  }
  return line.slice(2).replaceAll("`", "");
}

/** The language of a file, by the end of its name, for those that are coloured. */
const LANGUAGES = { ts: "ts", html: "html", yaml: "yaml", sh: "sh", service: "ini", socket: "ini" };

/** Adds a page of each file of examples/: a program, and below it what it imports. */
function addExamples(app, project, readme) {
  const names = execFileSync("git", ["ls-files", "examples"], { encoding: "utf8" }).trim()
    .split("\n").filter((name) => !name.endsWith(".md"));
  const programs = new Map();
  const depth = (name) => name.split("/").length;
  for (const name of names.sort((a, b) => depth(a) - depth(b))) {
    const short = name.slice("examples/".length);
    const [folder, ...rest] = short.split("/");
    const owner = [...programs.keys()].find((key) =>
      key.startsWith(`${folder}_`) || key === `${folder}.ts`
    );
    const parent = rest.length === 0 ? project : programs.get(owner) ?? readme;
    const language = LANGUAGES[name.slice(name.lastIndexOf(".") + 1)] ?? "text";
    const code = readFileSync(name, "utf8");
    const text =
      `# ${short}\n\nOne of the examples; its first lines say what it shows, and how to try it.\n\n\`\`\`${language}\n${code}\`\`\`\n`;
    const file = new MinimalSourceFile(text, resolve(name));
    app.converter.addDocument(parent, file, name.replaceAll(/[/.]/g, "_"));
    if (rest.length === 0) programs.set(short, parent.documents.at(-1));
  }
}

/** The member of an entry that a comment links to from another entry: "dial", "Cluster.metrics". */
function linked(project, path) {
  const entries = project.children ?? [];
  const find = (one, [name, ...rest]) => {
    const child = one?.children?.find((each) => each.name === name);
    return rest.length === 0 ? child : find(child, rest);
  };
  return entries.map((entry) => find(entry, path)).find(Boolean);
}

/** Called by TypeDoc with its application. */
export function load(app) {
  // TypeDoc knows the names of one entry, and those that the file of the comment imports.
  app.converter.addUnknownSymbolResolver((reference, { project }, part) => {
    const path = (reference.symbolReference?.path ?? []).map(({ path }) => path);
    const target = part && linked(project, path);
    return target && { target, caption: path.join(".") };
  });
  const titles = new Map();
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    const file = document.project.files.getReflectionPath(document);
    titles.set(document, headingOf(document.content));
    document.frontmatter.group = GROUPS.find(([pattern]) => pattern.test(file))[1];
    if (file.endsWith("/examples/README.md")) addExamples(app, document.project, document);
  });
  app.renderer.on(Renderer.EVENT_END_PAGE, (page) => {
    page.contents = accessible(page.contents);
  });
  // scripts/site/releases.ts writes the list anew when there are several.
  app.renderer.on(Renderer.EVENT_END, ({ outputDirectory }) => {
    const { version } = JSON.parse(readFileSync("deno.json", "utf8"));
    const list = JSON.stringify([{ name: version, href: "index.html", isThis: true }]);
    writeFileSync(join(outputDirectory, "assets/versions.js"), `window.versions = ${list};\n`);
  });
  // Not before: until here the name is the address of the page, which is to outlive the title.
  app.renderer.on(Renderer.EVENT_BEGIN, ({ project }) => {
    for (const [document, title] of titles) document.name = title;
    // TypeDoc writes a heading above the README, and a second one says it again.
    const [heading] = project.readme;
    heading.text = heading.text.slice(heading.text.indexOf("\n"));
  });
}

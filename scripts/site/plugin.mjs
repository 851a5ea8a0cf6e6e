// deno-lint-ignore-file explicit-module-boundary-types -- node reads it, which knows no types
/**
 * A plugin of TypeDoc: a document is called as its first heading, and stands among its kind. TypeDoc
 * itself asks for a block of YAML in each file, which would be shown wherever else it is read.
 */
import { Converter, Renderer } from "typedoc";

/** The group of a document, by its path; the first that matches. */
const GROUPS = [
  [/\/docs\/guide\//, "Guide"],
  [/\/docs\/decisions\//, "Decisions"],
  [/\/docs\//, "In depth"],
  [/./, "Project"],
];

/** The first line of a text, in which code stands by itself: "# The ", "`name`", "\n…". */
function headingOf(content) {
  const [line] = content.map(({ text }) => text).join("").split("\n", 1);
  if (!line.startsWith("# ")) {
    throw new Error(`A document begins with "${line}", not with a heading`);
  }
  return line.slice(2).replaceAll("`", "");
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
  });
  // Not before: until here the name is the address of the page, which is to outlive the title.
  app.renderer.on(Renderer.EVENT_BEGIN, ({ project }) => {
    for (const [document, title] of titles) document.name = title;
    // TypeDoc writes a heading above the README, and a second one says it again.
    const [heading] = project.readme;
    heading.text = heading.text.slice(heading.text.indexOf("\n"));
  });
}

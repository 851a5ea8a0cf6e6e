/**
 * The documents have an example of each export of mod.ts, and each option by name.
 */
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { makeSite } from "./make_site.ts";

/** A text of a doc comment, in pieces. */
type Text = readonly { readonly text: string }[];

/** A doc comment in the JSON of TypeDoc. */
interface Comment {
  summary: Text;
  blockTags?: { tag: string; content: Text }[];
}

/** A declaration, a member, a signature, or a type, in the JSON of TypeDoc. */
interface Reflection {
  name: string;
  kind: number;
  comment?: Comment;
  children?: Reflection[];
  signatures?: Reflection[];
  type?: { declaration?: Reflection };
}

/** Kinds of TypeDoc. */
const MODULE = 2;
const INTERFACE = 256;
const CONSTRUCTOR = 512;
const TYPE = 2_097_152;

const { root, json, remove } = makeSite();
after(remove);
const project = JSON.parse(readFileSync(json, "utf8")) as Reflection;
/** Of all entries: a module of TypeDoc each. */
const exports = project.children!.filter(({ kind }) => kind === MODULE)
  .flatMap(({ children }) => children!);

function wordsOf({ comment }: Reflection): string {
  return (comment?.summary ?? []).map(({ text }) => text).join("");
}

/** An export, its overloads, members and theirs. */
function within(one: Reflection): Reflection[] {
  const parts = [...(one.signatures ?? []), ...(one.children ?? [])];
  const { declaration } = one.type ?? {};
  if (declaration !== undefined) parts.push(declaration);
  return [one, ...parts.flatMap(within)];
}

/** True when a doc comment anywhere in an export has an example that runs. */
function hasExample(one: Reflection): boolean {
  return within(one).some(({ comment }) =>
    comment?.blockTags?.some(({ tag, content }) =>
      tag === "@example" && content.some(({ text }) => text.startsWith("```ts\n"))
    )
  );
}

/** Options that a user can give: the properties of what is called so. */
function optionsOf(one: Reflection): string[] {
  if (!/(Options|Configuration)$/.test(one.name)) return [];
  return (one.children ?? []).map(({ name }) => name);
}

/** All documents, without the records of what was decided or changed. */
function documents(): string {
  const git = spawnSync("git", ["ls-files", "-co", "--exclude-standard", "README.md", "docs"], {
    cwd: root,
    encoding: "utf8",
  });
  const files = git.stdout.split("\n").filter((file) =>
    file.endsWith(".md") && !file.startsWith("docs/decisions/")
  );
  return files.map((file) => readFileSync(root + file, "utf8")).join("\n");
}

test("functions, classes and values of mod.ts have an example each", () => {
  const values = exports.filter(({ kind }) => kind !== INTERFACE && kind !== TYPE);
  // A value and its type are two exports of one name.
  const without = values.filter(({ name }) =>
    !exports.some((one) => one.name === name && hasExample(one))
  );
  assertEquals(without.map(({ name }) => name), []);
});

test("exports of mod.ts say what they are, in words", () => {
  const silent = exports.filter((one) => !within(one).some((part) => wordsOf(part) !== ""));
  assertEquals(silent.map(({ name }) => name), []);
});

test("functions and methods that take or give bytes say whose they are", () => {
  const mute = exports.flatMap((one) => {
    // The interface or the first overload may say once what holds for all.
    const common = [one, ...(one.signatures ?? [])].map(wordsOf).join("\n");
    return [one, ...(one.children ?? [])]
      .filter(({ kind }) => kind !== CONSTRUCTOR)
      .flatMap((each) => each.signatures ?? [])
      .filter((signature) => JSON.stringify(signature).includes('"name":"Uint8Array"'))
      .filter((signature) =>
        !/owned|lent|lends|borrowed|cop(y|ies|ied)/i.test(common + wordsOf(signature))
      )
      .map(({ name }) => `${one.name}: ${name}`);
  });
  assertEquals(mute, []);
});

test("options stand in the documents by their names", () => {
  const text = documents();
  const options = exports.flatMap((one) => optionsOf(one).map((option) => ({ one, option })));
  const missing = options.filter(({ option }) =>
    !new RegExp(`\`[^\`\n]*\\b${option}\\b`).test(text)
  );
  assertEquals(missing.map(({ one, option }) => `${one.name}.${option}`), []);
});

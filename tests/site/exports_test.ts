/**
 * What the documents owe to the exports of mod.ts: an example of each, and each option by name.
 */
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Export, readModule } from "../../scripts/site/signature.ts";

const root = fileURLToPath(new URL("../../", import.meta.url).href);
const { exports } = readModule(root);

/** Whether a doc comment anywhere in an export has an example that runs. */
function hasExample(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { kind, doc } = value as { kind?: unknown; doc?: unknown };
  if (kind === "example" && typeof doc === "string" && doc.includes("```ts\n")) return true;
  return Object.values(value).some(hasExample);
}

/** Options that a user can give: the properties of what is called so. */
function optionsOf(one: Export): string[] {
  if (!/(Options|Configuration)$/.test(one.name)) return [];
  return one.declarations.flatMap(({ def }) => def.properties ?? []).map(({ name }) => name);
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
  const values = exports.filter(({ declarations }) =>
    declarations.some(({ kind }) => kind !== "interface" && kind !== "typeAlias")
  );
  assertEquals(values.filter((one) => !hasExample(one)).map(({ name }) => name), []);
});

test("exports of mod.ts say what they are, in words", () => {
  const silent = exports.filter(({ declarations }) =>
    !declarations.some(({ jsDoc }) => jsDoc?.doc)
  );
  assertEquals(silent.map(({ name }) => name), []);
});

test("functions and methods that take or give bytes say whose they are", () => {
  const mute = exports.flatMap(({ name, declarations }) => {
    const calls = declarations.flatMap(({ kind, def, jsDoc }) =>
      kind === "function"
        ? [{ called: name, types: [def.params, def.returnType], jsDoc }]
        : (def.methods ?? []).map((method) => ({
          called: `${name}.${method.name}`,
          types: [method.params, method.returnType, method.functionDef],
          jsDoc: method.jsDoc,
        }))
    );
    // What all have in common may be said once, of the interface or of the first overload.
    const common = declarations.map(({ jsDoc }) => jsDoc?.doc ?? "").join("\n");
    return calls
      .filter(({ types }) => JSON.stringify(types).includes('"typeName":"Uint8Array"'))
      .filter(({ jsDoc }) => !/owned|lent|lends|borrowed|cop(y|ies|ied)/i.test(common + jsDoc?.doc))
      .map(({ called }) => called);
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

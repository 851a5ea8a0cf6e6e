/**
 * Finishes the npm package that `deno pack` made: its package.json gets what people search for and
 * the runtimes that it is for; its declarations get the members that pack leaves out; its source
 * maps become files, so that a runtime does not read three times as much to load a module.
 *
 * Its arguments are the repository and the package.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { LOWEST } from "../ffi/runtime.ts";

const [repository, directory] = process.argv.slice(2) as [string, string];

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

const { description, keywords, repository: home } = JSON.parse(
  readFileSync(`${repository}/package.json`, "utf8"),
);
const engines = { bun: `>=${LOWEST.bun}`, deno: `>=${LOWEST.deno}` };
edit(`${directory}/package.json`, (text) => {
  const { name, version, ...rest } = JSON.parse(text);
  const manifest = { name, version, description, keywords, repository: home, engines, ...rest };
  return `${JSON.stringify(manifest, null, 2)}\n`;
});

// Of a class, Deno 2.9 declares no member whose name is computed: [Symbol.asyncDispose] is missing,
// and the class is not what it says it implements.
const MEMBERS = {
  AsyncDisposable: "[Symbol.asyncDispose](): Promise<void>",
  Disposable: "[Symbol.dispose](): void",
} as const;
const DECLARED = /\bdeclare class [^{]*\bimplements [^{]*\b(AsyncDisposable|Disposable)\b[^{]*\{/g;
const files = readdirSync(directory, { recursive: true, encoding: "utf8" });
for (const path of files.filter((one) => one.endsWith(".d.ts"))) {
  edit(
    `${directory}/${path}`,
    (text) =>
      text.replace(
        DECLARED,
        (declaration, name: keyof typeof MEMBERS) =>
          text.includes(MEMBERS[name]) ? declaration : `${declaration}\n  ${MEMBERS[name]};`,
      ),
  );
}

const INLINE = /\n\/\/# sourceMappingURL=data:application\/json;base64,(.*)\s*$/;
for (const path of files.filter((one) => one.endsWith(".js"))) {
  edit(`${directory}/${path}`, (text) => {
    const map = JSON.parse(Buffer.from(INLINE.exec(text)![1]!, "base64").toString());
    // Deno names each source by its path on the machine that packed.
    map.sources = map.sources.map((source: string) => basename(source));
    writeFileSync(`${directory}/${path}.map`, JSON.stringify(map));
    return text.replace(INLINE, `\n//# sourceMappingURL=${basename(path)}.map\n`);
  });
}

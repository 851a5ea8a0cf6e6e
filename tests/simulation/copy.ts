/**
 * A copy of the library in a temporary folder, whose imports of the native library, of the host and of
 * timers lead to the simulation. So the library itself has no seam for it: what is tested is its text.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url).href);
const STAND_INS = new URL("stand_ins.ts", import.meta.url).href;

/** A change of the library: a text that stands in it once, and what comes in its place. */
export interface Patch {
  readonly search: string;
  readonly replacement: string;
}

/** The source files of the library, by their paths. */
type Sources = Map<string, string>;

/** The stand-ins for what a module of the runtime gives. */
const REDIRECTED: readonly RegExp[] = [
  /(import \{[^}]*\} from )"node:timers"/,
  /(import \{[^}]*\bcloseSync\b[^}]*\} from )"node:fs"/,
];

/** Of what lives as long as a thread, each schedule gets its own. */
const RENEWED: readonly [name: string, make: string][] = [
  ["turn", "new Turn()"],
  ["blocks", "new BlockPool()"],
  ["kernelPipes", "new KernelPipes()"],
];

/** The one file in which a text stands, once. */
function fileWith(sources: Sources, search: string): string {
  const found = [...sources].filter(([, text]) => text.includes(search));
  const count = found.reduce((sum, [, text]) => sum + text.split(search).length - 1, 0);
  if (count === 1) return found[0]![0];
  throw new Error(
    `Cannot change the library: ${count} places have ${JSON.stringify(search)}, and 1 must; ` +
      "the code has changed, so change the search text",
  );
}

/** Puts a replacement where a text stands. The file in which it stood. */
export function patch(sources: Sources, { search, replacement }: Patch): string {
  const path = fileWith(sources, search);
  sources.set(path, sources.get(path)!.replace(search, () => replacement));
  return path;
}

/** The library as a simulation uses it. */
export interface Library {
  readonly api: typeof import("../../mod.ts");
  readonly blocks: typeof import("../../src/buffer/block.ts");
  readonly pollers: typeof import("../../src/poll/thread_poller.ts");
  /** Gives the thread a new poller, pool, turn and pipes. */
  renew(): void;
}

/** Folders to be removed. */
const folders = new Set<string>();
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function append(sources: Sources, path: string, text: string): void {
  sources.set(path, sources.get(path)! + text);
}

/** The sources as they are. */
export function readSources(): Sources {
  const sources: Sources = new Map([["mod.ts", readFileSync(join(root, "mod.ts"), "utf8")]]);
  for (const folder of ["src", "ffi"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue;
      sources.set(`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8"));
    }
  }
  return sources;
}

/** Leads a copy to the simulation. The files that have something to be renewed. */
function redirect(sources: Sources): string[] {
  for (const [path, text] of sources) {
    const to = (_: string, head: string) => `${head}"${STAND_INS}"`;
    sources.set(path, REDIRECTED.reduce((done, each) => done.replace(each, to), text));
  }
  sources.set("ffi/load.ts", `export { native } from "${STAND_INS}";\n`);
  sources.set("ffi/runtime.ts", `export { host } from "${STAND_INS}";\n`);
  return RENEWED.map(([name, make]) => {
    const search = `export const ${name}:`;
    const path = patch(sources, { search, replacement: `export let ${name}:` });
    append(sources, path, `export function renew() { ${name} = ${make}; }\n`);
    return path;
  });
}

/** Copies the library, with changes, and imports the copy. */
export async function copyLibrary(patches: readonly Patch[] = []): Promise<Library> {
  const sources = readSources();
  const renewed = redirect(sources);
  append(
    sources,
    "src/poll/thread_poller.ts",
    "export function renew() { poller?.close(); poller = null; unloadables.clear(); }\n",
  );
  for (const each of patches) patch(sources, each);
  const folder = mkdtempSync(join(tmpdir(), "netpoll-simulation-"));
  folders.add(folder);
  for (const [path, text] of sources) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const load = (path: string) => import(`file://${folder}/${path}`);
  const api = await load("mod.ts");
  const blocks = await load("src/buffer/block.ts");
  const pollers = await load("src/poll/thread_poller.ts");
  const others = await Promise.all(renewed.map(load));
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
  const renew = () => {
    pollers.renew();
    for (const each of others) each.renew();
  };
  return { api, blocks, pollers, renew };
}

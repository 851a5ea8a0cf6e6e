/**
 * A program under load that its runtime loads anew: each version serves at once, on the same port.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { AssertionError } from "@std/assert";
import { host } from "../../ffi/runtime.ts";
import { Program } from "../../scripts/program.ts";
import { root } from "../support/library.ts";
import type { Random } from "../support/random.ts";
import { connectMany } from "./load.ts";
import { FLUSHED, STREAM_FILE } from "./party.ts";
import { FlushedFile } from "./flushed.ts";
import { assertArrived, assertNoCrash, freePort, type Place, underLoad } from "./ways.ts";

const CLIENTS = 7;
/** Versions of one process. */
const RELOADS = 5;
const isDeno = host.name === "deno";

/** The ways in which this runtime loads a program anew. */
export const WATCHES: readonly string[] = isDeno ? ["--watch"] : ["--watch", "--hot"];

/** Starts a program, loads it anew again and again under load. How connections ended. */
export async function reloadUnderLoad(
  watch: string,
  { folder, streamPath }: Place,
  random: Random,
): Promise<Record<string, number>> {
  const place = mkdtempSync(join(folder, "reload-"));
  const [file, path, port] = [join(place, "program.ts"), join(place, "flushed"), freePort()];
  const source = readFileSync(join(root, "tests/exits/reloaded.ts"), "utf8")
    .replaceAll(
      /"(\.\.?\/[^"]*)"/g,
      (_, to) => JSON.stringify(new URL(to, pathToFileURL(join(root, "tests/exits/"))).href),
    );
  writeFileSync(file, source);
  using flushed = new FlushedFile(path);
  const verb = isDeno ? ["run", "-A", "--no-check", "--no-clear-screen", watch] : [watch];
  const program = new Program({
    argv: [process.execPath, ...verb, file, `${port}`],
    env: { NETPOLL_LIB: undefined, NO_COLOR: "1", [FLUSHED]: path, [STREAM_FILE]: streamPath },
  });
  const all: Record<string, number> = {};
  try {
    for (let n = 0; n <= RELOADS; n++) {
      const [, version] = await program.find(/version (\d+)\n/, 30_000);
      if (Number(version) !== n) throw new AssertionError(`version ${version}, not ${n}`);
      const clients = connectMany(`127.0.0.1:${port}`, CLIENTS, random, n * CLIENTS);
      await underLoad(clients, random);
      if (n === RELOADS) {
        program.signal("SIGTERM");
      } else {
        // In place and by one call: a file that is emptied and then filled may be loaded twice.
        const fd = openSync(file, "r+");
        writeSync(fd, source.replace("VERSION = 0", `VERSION = ${n + 1}`));
        closeSync(fd);
      }
      const ends = await assertArrived(clients, flushed, false);
      for (const [end, count] of Object.entries(ends)) {
        all[`reload ${end}`] = (all[`reload ${end}`] ?? 0) + count;
      }
    }
    assertNoCrash(await program.ended);
  } finally {
    await program.stop();
  }
  return all;
}

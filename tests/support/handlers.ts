/**
 * Modules that are no handler modules, each written to a directory of its own.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { withDirectory } from "./library.ts";

/** Calls with the URL of a module that has this text. */
export function withModule<T>(text: string, call: (url: URL) => Promise<T>): Promise<T> {
  return withDirectory((directory) => {
    const path = join(directory, "handler.ts");
    writeFileSync(path, text);
    return call(pathToFileURL(path));
  });
}

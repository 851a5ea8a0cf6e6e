/**
 * Writes the libraries of a package into its ffi/prebuilt.ts, for where they are no files.
 *
 * Its arguments are the package and the name that the libraries were linked with.
 *
 * @module
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { gzipSync } from "node:zlib";

const [directory, soname] = process.argv.slice(2);
const pathOf = (arch: string) => `${directory}/lib/libnetpoll-linux-${arch}.so`;
const rows = ["x64", "arm64"].filter((arch) => existsSync(pathOf(arch))).map((arch) => {
  const library = readFileSync(pathOf(arch));
  if (!library.includes(`\0${soname}\0`)) {
    throw new Error(`Cannot embed the library for ${arch}: it was not linked as ${soname}`);
  }
  return `  ${arch}:\n    "${gzipSync(library, { level: 9 }).toString("base64")}",\n`;
});
const path = `${directory}/ffi/prebuilt.ts`;
const template = readFileSync(path, "utf8");
const filled = template.replace('SONAME = ""', `SONAME = "${soname}"`)
  .replace("= {}", `= {\n${rows.join("")}}`)
  .replace(/\n \* Empty in the repository[^]*?\n \*\//, "\n * Written by scripts/embed.ts.\n */");
if (!filled.includes(`"${soname}"`) || !filled.includes(rows.join(""))) {
  throw new Error(`Cannot embed the libraries: ${path} is not the one of the repository`);
}
writeFileSync(path, filled);

/**
 * Prints the command that starts a server of the benches, `command.ts NAME MESSAGE_BYTES [MODE]`, or
 * with no argument the names of all. Unless a mode is named, it echoes.
 */
import process from "node:process";
import type { Mode } from "../peers/peers.ts";
import { CANDIDATES } from "./candidates.ts";
import { select } from "./options.ts";

const [name, bytes, mode] = process.argv.slice(2);
if (name === undefined) console.log(CANDIDATES.map((one) => one.name).join("\n"));
else {
  const argv = select(CANDIDATES, name)[0]!.argv(Number(bytes), mode as Mode | undefined);
  console.log(argv.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" "));
}

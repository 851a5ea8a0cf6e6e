/**
 * Prints the command that starts a server of the benches, `command.ts NAME MESSAGE_BYTES`, or with
 * no argument the names of all.
 */
import process from "node:process";
import { CANDIDATES } from "./candidates.ts";
import { select } from "./options.ts";

const [name, bytes] = process.argv.slice(2);
if (name === undefined) console.log(CANDIDATES.map((one) => one.name).join("\n"));
else {
  const argv = select(CANDIDATES, name)[0]!.argv(Number(bytes));
  console.log(argv.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" "));
}

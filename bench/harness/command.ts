/**
 * Prints how a server of the benches is started, for a shell: `command.ts NAME MESSAGE_BYTES`.
 */
import process from "node:process";
import { CANDIDATES, select } from "./candidates.ts";

const [name, messageBytes] = process.argv.slice(2);
const [candidate] = select(CANDIDATES, name);
const quoted = candidate!.argv(Number(messageBytes)).map((part) =>
  `'${part.replaceAll("'", `'\\''`)}'`
);
console.log(`exec ${quoted.join(" ")}`);

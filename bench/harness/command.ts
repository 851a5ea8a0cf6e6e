/**
 * What a shell asks about the servers of the benches: `command.ts NAME MESSAGE_BYTES` prints how
 * one is started, `--list` all names, `--present [NAMES]` those that can take part here, and
 * `--machine` where this is.
 */
import process from "node:process";
import { absence, CANDIDATES, select } from "./candidates.ts";
import { describeMachine } from "./report.ts";

/** The names of those who can take part; says on standard error who cannot, and why. */
function present(list: string | undefined): string[] {
  return select(CANDIDATES, list).flatMap((candidate) => {
    const reason = absence(candidate);
    if (reason !== null) console.error(`skipped: ${candidate.name}: ${reason}`);
    return reason === null ? [candidate.name] : [];
  });
}

function command(name: string, messageBytes: number): string {
  const [candidate] = select(CANDIDATES, name);
  const quoted = candidate!.argv(messageBytes).map((part) => `'${part.replaceAll("'", `'\\''`)}'`);
  return `exec ${quoted.join(" ")}`;
}

const [name, argument] = process.argv.slice(2);
if (name === "--list") console.log(CANDIDATES.map((one) => one.name).join("\n"));
else if (name === "--present") console.log(present(argument).join("\n"));
else if (name === "--machine") console.log(describeMachine());
else console.log(command(name!, Number(argument)));

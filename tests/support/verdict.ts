/**
 * The verdict of a sandbox on a call, in one word.
 */

/** A call to make, by its name, and what it is about. */
export type Attempted = [call: string, target: string];

/** The verdict of a sandbox. */
export type Verdict = "ALLOWED" | `NotCapable ${string}` | `${string}Error`;

/** Errors of the caller's: neither the sandbox nor the kernel was asked. */
const MISTAKES = ["TypeError", "RangeError", "URIError", "ReferenceError"];

/** Asks the sandbox about one call. A call that was let pass and then failed was let pass. */
export async function verdictOf(call: () => unknown): Promise<Verdict> {
  try {
    await call();
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "NotCapable") return `NotCapable ${/--allow-\w+/.exec(message)}`;
    if (MISTAKES.includes(name)) return name as Verdict;
  }
  return "ALLOWED";
}

/** Makes the calls that are given as JSON, one after the other, and prints the verdicts as JSON. */
export async function printVerdicts(
  calls: Readonly<Record<string, (target: string) => unknown>>,
  attempted: string,
): Promise<void> {
  const verdicts: Verdict[] = [];
  for (const [call, target] of JSON.parse(attempted) as Attempted[]) {
    verdicts.push(await verdictOf(() => calls[call]!(target)));
  }
  console.log(`verdicts ${JSON.stringify(verdicts)}`);
}

/** The output of such a program. */
export function readVerdicts(output: string): Verdict[] {
  const line = /^verdicts (.*?)\r?$/m.exec(output);
  if (line === null) throw new Error(`No verdicts were printed:\n${output}`);
  return JSON.parse(line[1]!);
}

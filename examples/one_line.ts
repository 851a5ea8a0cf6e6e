/**
 * Imported for its effect: what the kernel refuses ends a program with one line that says what to do,
 * in place of a stack. A bug keeps its stack.
 */
import process from "node:process";
import { isMainThread } from "node:worker_threads";

/** The cures, by what was refused. */
const CURES: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program has it, or this one runs already: give another address",
  EADDRNOTAVAIL: "this machine does not have it: give another address, such as localhost:8080",
  EACCES: "this user may not: give a port from 1024 on, or a path of your own",
  ECONNREFUSED: "nobody listens there: start its server first",
  ENOENT: "there is no such file: look at the path",
};

/** The error of a runtime or of the library when the kernel refuses something. */
interface Refusal extends Error {
  readonly code: string;
}

function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && Object.hasOwn(CURES, `${(error as Partial<Refusal>).code}`);
}

/** Errors of a permission that is missing, which say themselves how it is given. */
const PERMISSIONS = ["LoadError", "NotCapable"];

/** An error as one line, with its cure where there is one; null for what is no refusal. */
export function lineOf(error: unknown): string | null {
  if (error instanceof Error && PERMISSIONS.includes(error.name)) return error.message;
  return isRefusal(error) ? `${error.message}; ${CURES[error.code]}` : null;
}

if (isMainThread) {
  process.on("uncaughtException", (error) => {
    console.error(lineOf(error) ?? error);
    process.exit(1);
  });
}

/**
 * The key and the certificate of a server over TLS: the arguments after PORT, MESSAGE_BYTES and MODE.
 * Not TypeScript, as Node runs it as well.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

const [key, cert] = process.argv.slice(5).map((path) => readFileSync(path, "utf8"));

/** Both as PEM; null for a server without TLS. */
export const identity = key === undefined || cert === undefined ? null : { key, cert };

if (identity !== null) await import("./late_timers.mjs");

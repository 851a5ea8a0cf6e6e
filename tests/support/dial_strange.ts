/**
 * Dials a TLS server, at the address and with the authorities given, and prints the error.
 */
import process from "node:process";
import { readFileSync } from "node:fs";
import { dial } from "../../mod.ts";

const [at, authoritiesFile] = process.argv.slice(2);
const tls = { authorities: readFileSync(authoritiesFile!, "utf8") };
try {
  await using _connection = await dial("tcp", at!, { tls, timeoutMs: 10_000 });
  console.log("connected");
} catch (error) {
  console.log((error as Error).message);
}

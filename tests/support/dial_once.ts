/**
 * A program: dials the address of its argument, and prints where that led, or what was thrown.
 */
import process from "node:process";
import { dial } from "../../mod.ts";

try {
  const connection = await dial("tcp", process.argv[2]!);
  const { remoteAddress } = connection;
  await connection.close();
  console.log(`connected to ${remoteAddress.transport === "tcp" ? remoteAddress.hostname : ""}`);
} catch (error) {
  const { name, code } = error as Error & { code?: string };
  console.log([name, code].filter(Boolean).join(" "));
}
process.exit(0);

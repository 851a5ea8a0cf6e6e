/**
 * A program: sends the files of its arguments, and prints the name of what each throws.
 */
import process from "node:process";
import { socketPair } from "../../mod.ts";

const [a, b] = socketPair();
for (const path of process.argv.slice(2)) {
  try {
    await a.sendFile(path, { length: 10 });
    console.log("sent");
  } catch (error) {
    console.log((error as Error).name);
  }
}
await Promise.all([a.close(), b.close()]);

/**
 * A program: listens and dials at the two ports of its arguments, of the host after them, and
 * prints the name of what each throws.
 */
import process from "node:process";
import { createListener, dial } from "../../mod.ts";

const [allowed, forbidden, hostname = "127.0.0.1"] = process.argv.slice(2);
for (const port of [allowed, forbidden]) {
  const at = `${hostname}:${port}`;
  try {
    createListener("tcp", at).close();
    console.log("listens");
  } catch (error) {
    console.log((error as Error).name);
  }
  try {
    await (await dial("tcp", at)).close();
    console.log("dials");
  } catch (error) {
    console.log((error as Error).name);
  }
}

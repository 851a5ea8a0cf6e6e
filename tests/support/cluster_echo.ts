/**
 * The handler module of cluster_program.ts.
 */
import { configure, type Connection } from "../../mod.ts";

// A use of the library, so that a bundle of this module has it in it.
configure({});
// Like a database that has to be reached first: nothing is exported before.
const prefix = await new Promise<string>((resolve) => setTimeout(() => resolve("echo "), 20));

export function setup(): void {
  console.log("a Worker is set up");
}

export function onRequest({ reader, writer }: Connection): void {
  writer.writeString(prefix + reader.readString(reader.length));
  void writer.flush();
  reader.release();
}

/**
 * A program: listens where its arguments say, pairs of network and address, and prints what came of
 * each.
 */
import process from "node:process";
import { createListener, type Network, SystemError } from "../../mod.ts";

const args = process.argv.slice(2);
for (let i = 0; i < args.length; i += 2) {
  try {
    createListener(args[i] as Network, args[i + 1]!).close();
    console.log("listens");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    console.log(error.code);
  }
}

/**
 * A program: opens a listener where its two arguments say, and prints whether it may, and with a
 * third one where that is.
 */
import process from "node:process";
import { createListener, type Network } from "../../mod.ts";

const [network, address, verbose] = process.argv.slice(2);
try {
  const listener = createListener(network as Network, address!);
  const where = listener.address;
  const at = where.transport === "unix" ? where.path : where.hostname;
  console.log(verbose === undefined ? "listens" : `listens at ${at}`);
  listener.close();
} catch (error) {
  console.log((error as Error).name);
}

/**
 * A program: opens a listener where its two arguments say, and prints whether it may.
 */
import process from "node:process";
import { createListener, type Network } from "../../mod.ts";

const [network, address] = process.argv.slice(2);
try {
  createListener(network as Network, address!).close();
  console.log("listens");
} catch (error) {
  console.log((error as Error).name);
}

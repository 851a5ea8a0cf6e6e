/**
 * Offers a listener, and serves nothing.
 */
import process from "node:process";
import { setTimeout } from "node:timers";
import { createListener, offerListeners } from "../../mod.ts";

const listener = createListener("tcp", "127.0.0.1:0");
offerListeners(process.argv[2]!, [listener]);
console.log("offered");
setTimeout(() => listener.close(), 15_000);

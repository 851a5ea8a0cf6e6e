/**
 * Offers a listener, at a path if one is given, and serves nothing.
 */
import process from "node:process";
import { setTimeout } from "node:timers";
import { createListener, offerListeners } from "../../mod.ts";

const [meeting, path] = process.argv.slice(2);
const listener = path === undefined
  ? createListener("tcp", "127.0.0.1:0")
  : createListener("unix", path);
offerListeners(meeting!, [listener]);
console.log("offered");
setTimeout(() => listener.close(), 15_000);

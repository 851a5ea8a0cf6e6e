/**
 * A program that is loaded anew while it serves; it tidies nothing up. Its argument is the port.
 */
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import { onError, onPrepare, onRequest, options } from "./party.ts";

const VERSION = 0;

const loop = new EventLoop(onRequest, { ...options, onPrepare, onError });
void loop.serve(createListener("tcp", `127.0.0.1:${process.argv.at(-1)}`));
console.log(`version ${VERSION}`);

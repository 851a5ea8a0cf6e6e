/**
 * A Worker: who runs as whom in a server and a client of this thread, posted to the parent.
 */
import { parentPort } from "node:worker_threads";
import { contextsOfOurs } from "./contexts.ts";

parentPort!.postMessage(await contextsOfOurs("@netpoll-context-worker"));

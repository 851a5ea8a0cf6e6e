/**
 * A program: clients of a server, until it is killed. Its arguments are the address, how many, the
 * file in which uploads note what they have flushed, and the seed.
 */
import process from "node:process";
import { seededRandom } from "../support/random.ts";
import { FlushedFile } from "./flushed.ts";
import { connectMany } from "./load.ts";

const [at, count, path, seed] = process.argv.slice(2) as [string, string, string, string];
const clients = connectMany(at, Number(count), seededRandom(seed), 0, new FlushedFile(path));
await Promise.all(clients.map((client) => client.ended));

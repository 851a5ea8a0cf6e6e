/**
 * Uses a pool and says how it goes on: the process ends when its idle connection has.
 */
import process from "node:process";
import { ConnectionPool } from "../../mod.ts";
import { ask } from "./pool_bed.ts";

const [at = "", idleTimeoutMs = "100", min = "0"] = process.argv.slice(2);
const pool = new ConnectionPool(at, { idleTimeoutMs: Number(idleTimeoutMs), min: Number(min) });
console.log(await pool.use((connection) => ask(connection, "hello")));
process.once("exit", () => console.log(`closed ${pool.metrics().closed.idle}`));

/**
 * The server of examples/hot_restart.ts, unless the file at the path in VERSION_FILE says that this
 * version is broken: then it ends with status 3.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

if (readFileSync(process.env.VERSION_FILE!, "utf8") === "broken") process.exit(3);
await import("../../examples/hot_restart.ts");

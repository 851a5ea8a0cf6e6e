/**
 * A program: sends 512 KiB without a copy to a port of 127.0.0.1 whose peer does not read, and exits.
 */
import process from "node:process";
import { dial } from "../../mod.ts";
import { write } from "./zero_copy_ends.ts";

const connection = await dial("tcp", `127.0.0.1:${process.argv[2]}`, { zeroCopy: "always" });
write(connection, 0, 512 * 1024);
await connection.writer.flush();
console.log(JSON.stringify(connection.zeroCopyCounts));
process.exit(0);

/**
 * A program: sends a file to servers/receive_file.ts by sendfile, `receive_file_load.ts PORT FILE BYTES`,
 * and prints what came of it.
 */
import process from "node:process";
import { dial } from "../../mod.ts";

const [port, file, bytes] = process.argv.slice(2);
const connection = await dial("tcp", `127.0.0.1:${port}`);
const begin = performance.now();
connection.writer.writeBigUint64BE(BigInt(bytes!));
await connection.sendFile(file!, { length: Number(bytes) });
await connection.reader.wait(8);
const cpuMicros = Number(connection.reader.readBigUint64BE());
const seconds = (performance.now() - begin) / 1000;
await connection.close();
console.log(JSON.stringify({ cpuMicros, seconds }));

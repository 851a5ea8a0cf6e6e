/**
 * A program: takes its permissions back, and puts its own function in the place of the one that
 * tells of them, after netpoll was imported. It prints how each call of netpoll ended. Its argument
 * is a directory.
 */
import process from "node:process";
import { createListener, dial, socketPair } from "../../mod.ts";

async function tell(name: string, call: () => unknown): Promise<void> {
  try {
    await call();
    console.log(`${name}: done`);
  } catch (error) {
    console.log(`${name}: ${(error as Error).name}`);
  }
}

const path = `${process.argv[2]}/socket`;
const file = `${process.argv[2]}/file`;
const listener = createListener("unix", path);
const before = createListener("tcp", "127.0.0.1:0");
const { port } = before.address as { port: number };
await tell("dial before", async () => (await dial("tcp", `127.0.0.1:${port}`)).close());
await tell("send before", () => socketPair()[0].sendFile(file));

for (const name of ["net", "read", "write"] as const) Deno.permissions.revokeSync({ name });
Object.defineProperty(Deno.permissions, "querySync", { value: () => ({ state: "granted" }) });
await tell("dial after", () => dial("tcp", `127.0.0.1:${port}`));
await tell("listen after", () => createListener("tcp", "127.0.0.1:0"));
await tell("dial a path after", () => dial("unix", path));
await tell("send after", () => socketPair()[0].sendFile(file));
await tell("close after", () => [listener, before].forEach((each) => each.close()));
process.exit(0);

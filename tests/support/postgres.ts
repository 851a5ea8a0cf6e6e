/**
 * A PostgreSQL server for tests.
 */
import { assert } from "@std/assert";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, readdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { freePort } from "../../bench/harness/child.ts";
import { withDirectory } from "./library.ts";
import { runTool, withServerOf } from "./tool.ts";

const NOBODY = 65534;
const POSTGRESQL = "/usr/lib/postgresql";

/** The programs of a server, for `lacks`. */
export const POSTGRES_TOOLS = ["initdb", "postgres", "psql", "setpriv"] as const;

/** Debian keeps the programs of a PostgreSQL server out of the way. */
function addPostgresql(): void {
  const versions = spawnSync("ls", [POSTGRESQL], { encoding: "utf8" }).stdout.split("\n");
  const folders = versions.filter((each) => each !== "").map((each) => `${POSTGRESQL}/${each}/bin`);
  process.env["PATH"] = [process.env["PATH"], ...folders].join(":");
}

addPostgresql();

/** Settings beside the defaults of a test. */
export interface PostgresOptions {
  /** Lines like "ssl=on". */
  settings?: readonly string[];
  /** The content of files in its folder, by their names; pg_hba.conf says who is let in. */
  files?: Readonly<Record<string, string>>;
}

/** Runs a server of its own at a free port, whose user is nobody, as it refuses root. */
export async function withPostgres(
  call: (port: number) => Promise<void>,
  { settings = [], files = {} }: PostgresOptions = {},
): Promise<void> {
  const isRoot = process.getuid!() === 0;
  const asNobody = isRoot
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
    : ["env"];
  await withDirectory(async (directory) => {
    if (isRoot) chownSync(directory, NOBODY, NOBODY);
    chmodSync(directory, 0o700);
    const [program, ...args] = asNobody;
    const init = ["initdb", "-D", directory, "-U", "nobody", "-A", "trust", "--no-sync"];
    await runTool(program!, [...args, ...init]);
    assert(readdirSync(directory).includes("PG_VERSION"));
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(`${directory}/${name}`, content, { mode: 0o600 });
      if (isRoot) chownSync(`${directory}/${name}`, NOBODY, NOBODY);
    }
    const port = await freePort();
    const all = [
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "fsync=off",
      ...settings,
    ];
    const server = ["postgres", "-D", directory, "-p", `${port}`];
    const argv = [...args, ...server, ...all.flatMap((each) => ["-c", each])];
    await withServerOf(port, [program!, ...argv], () => call(port));
  });
}

/**
 * TLS of others: their clients and servers, which trust the authority of these tests.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Program } from "../../scripts/program.ts";
import { type Server, startServerAt } from "../../bench/harness/child.ts";
import { root } from "./library.ts";
import { authority, identity, type Made } from "./pki.ts";
import { TOOL_MS_MAX } from "./tool.ts";

/** A leaf whose chain has an authority in the middle, and the file of both. */
export interface Chained extends Made {
  /** The file of the authority in the middle. */
  readonly chainFile: string;
}

/** A leaf that an authority in the middle has signed; its certificate in PEM has both. */
export function chained(name: string, names?: string): Chained {
  const middle = identity("middle", { isAuthority: true, by: authority() });
  const leaf = identity(name, { by: middle, ...(names === undefined ? {} : { names }) });
  return {
    ...leaf,
    certificate: leaf.certificate + middle.certificate,
    chainFile: middle.certificateFile,
  };
}

/** The part of it that a server or a client shows. */
export function shown({ certificate, key }: Made): Pick<Made, "certificate" | "key"> {
  return { certificate, key };
}

/** The files of its key and of its certificate, without its chain. */
export function filesOf({ keyFile, certificateFile }: Made): [key: string, certificate: string] {
  return [keyFile, certificateFile];
}

let folder: string | null = null;

/** A folder of what programs of others are given: ca.pem, and server.pem and client.pem with their keys. */
export function pemFolder(): string {
  if (folder !== null) return folder;
  const { certificateFile } = authority();
  folder = `${dirname(certificateFile)}/outside`;
  mkdirSync(folder);
  writeFileSync(`${folder}/ca.pem`, authority().certificate);
  for (const name of ["server", "client"]) {
    const { certificate, key } = identity(name);
    writeFileSync(`${folder}/${name}.pem`, certificate + key, { mode: 0o600 });
  }
  return folder;
}

/** Starts a program whose standard input the test writes. Stopped with `using`, if it still runs. */
export function talkTo(program: string, args: readonly string[]): Program & AsyncDisposable {
  const argv = [program, ...args];
  const started = new Program({
    argv,
    cwd: root,
    hasInput: true,
    timeoutMs: TOOL_MS_MAX,
    encoding: "latin1",
  });
  return Object.assign(started, { [Symbol.asyncDispose]: stopped(started) });
}

function stopped(program: Program): () => Promise<void> {
  return async () => {
    await program.stop();
  };
}

/** Starts a server of others, and waits until it listens at the port. Stopped with `using`. */
export async function serverOf(
  port: number,
  program: string,
  args: readonly string[],
): Promise<Server & AsyncDisposable> {
  const command = {
    argv: [program, ...args],
    cwd: root,
    hasInput: true,
    timeoutMs: 5 * TOOL_MS_MAX,
    encoding: "latin1",
  } as const;
  const server = await startServerAt(command, port);
  return Object.assign(server, { [Symbol.asyncDispose]: stopped(server) });
}

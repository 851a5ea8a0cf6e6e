/**
 * Clients and servers of OpenSSL's own program, which may be told to be as weak as no one should be.
 */
import { type Ended, Program } from "../../scripts/program.ts";
import type { Made } from "./pki.ts";

/** Allows OpenSSL's program all that this build of it has. */
export const WEAK: readonly string[] = ["-cipher", "ALL:NULL:@SECLEVEL=0"];

/** Runs `openssl s_client` until its handshake has failed, or, with `input`, until it has been sent. */
export function strangeClient(at: string, args: readonly string[], input?: string): Promise<Ended> {
  const argv = ["openssl", "s_client", "-connect", at, ...args];
  const program = new Program({ argv, hasInput: input !== undefined, timeoutMs: 20_000 });
  if (input !== undefined) program.write(input);
  return program.ended;
}

/** A server of `openssl s_server`. */
export interface StrangeServer extends AsyncDisposable {
  readonly at: string;
}

/** Starts `openssl s_server`. */
export async function strangeServer(
  made: Pick<Made, "certificateFile" | "keyFile"> | null,
  args: readonly string[],
): Promise<StrangeServer> {
  const own = made === null ? ["-nocert"] : ["-cert", made.certificateFile, "-key", made.keyFile];
  const argv = ["openssl", "s_server", "-accept", "127.0.0.1:0", ...own, ...args];
  const program = new Program({ argv, hasInput: true, timeoutMs: 20_000 });
  const [, at] = await program.find(/ACCEPT (\S+)\n/);
  return {
    at: at!,
    async [Symbol.asyncDispose]() {
      await program.stop();
    },
  };
}

/** Says a line, waits for its echo, and ends. All that `openssl s_client` has printed, refused or not. */
export async function strangeTalk(
  at: string,
  args: readonly string[],
  line = "hello",
): Promise<string> {
  const argv = ["openssl", "s_client", "-connect", at, ...args];
  const program = new Program({ argv, hasInput: true, timeoutMs: 20_000 });
  program.write(`${line}\n`);
  await program.find(new RegExp(line)).catch(() => {});
  program.endInput();
  await program.ended;
  return program.output;
}

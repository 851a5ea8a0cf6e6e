/**
 * Two streams in a row, with a pipe between them.
 */
import { type Connection, EofError, pipe, type PipeResult } from "../../mod.ts";
import { leaks } from "./leaks.ts";
import { closeAll, pairWith, tcpPair } from "./pair.ts";

/** A client, what is piped to what, and a server: client ═ a | b ═ server. */
export interface Line {
  client: Connection;
  a: Connection;
  b: Connection;
  server: Connection;
}

/** The transport of the bytes: "mixed" is TCP to the client and a Unix socket to the server. */
export type Kind = "tcp" | "unix" | "mixed";
/** All of them. */
export const KINDS: readonly Kind[] = ["tcp", "unix", "mixed"];

/** A line whose middle is not piped yet. */
export async function lineOf(kind: Kind): Promise<Line> {
  const [client, a] = kind === "unix" ? pairWith() : await tcpPair();
  const [b, server] = kind === "tcp" ? await tcpPair() : pairWith();
  return { client, a, b, server };
}

/** Runs with a line whose middle is piped; all four are closed afterwards, and nothing is left. */
export function withLine(
  kind: Kind,
  run: (line: Line, piped: Promise<PipeResult>) => Promise<void>,
): Promise<void> {
  return leaks(async () => {
    const line = await lineOf(kind);
    await run(line, pipe(line.a, line.b));
    await closeAll(line.client, line.a, line.b, line.server);
  });
}

/** Sends everything and ends its side. */
export async function sendAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 256 << 10) {
    connection.writer.writeBinary(bytes.subarray(at, at + (256 << 10)));
    await connection.writer.flush();
  }
  await connection.closeWrite();
}

/** Everything up to the end, with pauses if asked for. */
export async function receiveAll(
  { reader }: Connection,
  pause?: () => Promise<void>,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  try {
    for (;;) {
      await reader.wait(1);
      parts.push(reader.readBinary(reader.length));
      reader.release();
      await pause?.();
    }
  } catch (error) {
    if (!(error instanceof EofError) || error.cause !== undefined) throw error;
  }
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

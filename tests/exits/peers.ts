/**
 * Peers that are killed under load: their server goes on, and gives back what they held. What they
 * had flushed arrives, or their end is told as a reset.
 */
import { AssertionError } from "@std/assert";
import process from "node:process";
import { type Connection, createListener, EventLoop, type TcpAddress } from "../../mod.ts";
import { start } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import type { Random } from "../support/random.ts";
import { FlushedFile } from "./flushed.ts";
import {
  FLUSHED,
  onError,
  onPrepare,
  onRequest,
  openNotes,
  options,
  type Party,
  STREAM_FILE,
} from "./party.ts";
import { type Place, when } from "./ways.ts";

const PEERS = 14;
const BYTES_MAX = 5_000_000;

/** How a connection of the server ended, and what an upload brought until then. */
interface Gone {
  readonly party: Party;
  readonly end: "end" | "reset";
}

/** Kills a process of peers. How the server saw them end; nothing is left of them. */
export function killPeers(place: Place, random: Random): Promise<Record<string, number>> {
  process.env[STREAM_FILE] = place.streamPath;
  process.env[FLUSHED] ??= `${place.folder}/served`;
  openNotes();
  return leaks(() => kill(place, random));
}

async function kill({ folder }: Place, random: Random): Promise<Record<string, number>> {
  const path = `${folder}/peers-${random.seed}`;
  using flushed = new FlushedFile(path);
  const gone: Gone[] = [];
  const parties: Party[] = [];
  const loop = new EventLoop<Party>(onRequest, {
    ...options,
    onError,
    onPrepare: (connection: Connection) => {
      const party = onPrepare();
      parties.push(party);
      connection.closed.then(
        () => gone.push({ party, end: "end" }),
        () => gone.push({ party, end: "reset" }),
      );
      return party;
    },
  });
  const listener = createListener("tcp", "127.0.0.1:0", { sendBufferBytes: 64 * 1024 });
  const served = loop.serve(listener);
  const { port } = listener.address as TcpAddress;
  const args = [`127.0.0.1:${port}`, `${PEERS}`, path, `${random.seed}`];
  const program = start("tests/exits/peer_program.ts", { args, timeoutMs: 90_000 });
  try {
    const moved = () => parties.reduce((sum, { flushed, received }) => sum + flushed + received, 0);
    const enough = 1 + random.below(BYTES_MAX);
    const isOver = () => program.outcome !== null;
    await when(() => isOver() || parties.length === PEERS && moved() > enough, "the load");
    if (isOver()) throw new AssertionError(`the peers ended: ${program.output}`);
    await program.stop("SIGKILL");
    await when(() => gone.length === PEERS && loop.connectionCount === 0, "all are gone");
  } finally {
    await program.stop();
    await loop.shutdown({ timeoutMs: 1000 });
    await served;
  }
  const ends: Record<string, number> = {};
  for (const { party: { kind, id, received }, end } of gone) {
    ends[`peer ${end}`] = (ends[`peer ${end}`] ?? 0) + 1;
    if (kind !== "upload" || end === "reset" || received >= flushed.read(id)) continue;
    throw new AssertionError(`${received} of ${flushed.read(id)} bytes came before an end`);
  }
  return ends;
}

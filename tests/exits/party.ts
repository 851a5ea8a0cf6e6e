/**
 * The handler of the server that exits: it answers by streams whose bytes are known, in each way in
 * which bytes leave, and notes what it has flushed. It is the handler module of a cluster as well.
 */
import process from "node:process";
import type { Connection, EventLoopOptions } from "../../mod.ts";
import { isStream, offsetInFile, PERIOD_BYTES, streamAt } from "../support/streams.ts";
import { FlushedFile } from "./flushed.ts";

/** What a connection asks for. */
export const KINDS = ["echo", "echo later", "push", "slow", "large", "file", "upload"] as const;
export type Kind = (typeof KINDS)[number];

/** A connection begins with its kind and its number. */
export const HELLO_BYTES = 8;
/** What is sent for each byte that a client asks with. */
export const PUSHED_BYTES: Readonly<Partial<Record<Kind, number>>> = {
  push: 20_000,
  slow: 20_000,
  large: 256 * 1024,
  file: 20_000,
};

/** A connection, as its server knows it. */
export interface Party {
  kind: Kind | null;
  id: number;
  /** Where its stream to the client is. */
  sent: number;
  /** Where its stream from the client is. */
  received: number;
  /** What its flushes have resolved for. */
  flushed: number;
}

/** The variables that name the file of what was flushed, and the one that is sent. */
export const FLUSHED = "NETPOLL_EXITS_FLUSHED";
export const STREAM_FILE = "NETPOLL_EXITS_STREAM";

/** Zero copy where it may be worth it, so that an exit meets pinned blocks, too. */
export const options: EventLoopOptions<Party> = { zeroCopy: "auto" };

let file: FlushedFile | null = null;
let act: (() => void) | null = null;

/** Does something in the next call of a handler. */
export function actInHandler(run: () => void): void {
  act = run;
}

/** Opens the file of notes, which stays open. */
export function openNotes(): FlushedFile {
  return file ??= new FlushedFile(process.env[FLUSHED]!);
}

function note(party: Party, bytes: number): void {
  party.flushed += bytes;
  openNotes().write(party.id, party.flushed);
}

/** The begin of a connection. */
export function onPrepare(): Party {
  return { kind: null, id: -1, sent: 0, received: 0, flushed: 0 };
}

/** A connection that ends takes its handler with it: nobody has to hear of that. */
export function onError(): void {}

/** Sends what came back. */
function echo({ reader, writer }: Connection, party: Party): Promise<void> {
  const bytes = reader.length;
  writer.writeBinary(reader.next(bytes));
  const flushed = writer.flush().then(() => note(party, bytes));
  reader.release();
  return flushed;
}

async function echoLater(connection: Connection, party: Party): Promise<void> {
  for (;;) {
    await connection.reader.wait(1);
    await echo(connection, party);
  }
}

/** Sends a piece for each byte that comes. */
async function push(connection: Connection, party: Party): Promise<void> {
  const { reader, writer } = connection;
  const bytes = PUSHED_BYTES[party.kind!]!;
  for (;;) {
    await reader.wait(1);
    reader.skip(1);
    reader.release();
    if (party.kind === "file") {
      await sendPiece(connection, party, bytes);
    } else {
      writer.malloc(bytes).set(streamAt(party.id, party.sent, bytes));
      party.sent += bytes;
      await writer.flush();
    }
    note(party, bytes);
  }
}

/** Sends a piece of the stream from the file, which begins again at its end. */
async function sendPiece(connection: Connection, party: Party, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const offset = offsetInFile(party.id, party.sent);
    const length = Math.min(left, PERIOD_BYTES - offset);
    await connection.sendFile(process.env[STREAM_FILE]!, { offset, length });
    party.sent += length;
    left -= length;
  }
}

function upload({ reader }: Connection, party: Party): void {
  const bytes = reader.next(reader.length);
  if (!isStream(bytes, party.id, party.received)) {
    throw new Error(`a wrong byte after ${party.received} bytes`);
  }
  party.received += bytes.length;
  reader.release();
}

function begin(connection: Connection, party: Party): void {
  const hello = connection.reader.next(HELLO_BYTES);
  const view = new DataView(hello.buffer, hello.byteOffset);
  party.kind = KINDS[view.getUint32(0, true)]!;
  party.id = view.getUint32(4, true);
  connection.reader.release();
}

/** Serves a connection. */
export function onRequest(connection: Connection, party: Party): void | Promise<void> {
  const run = act;
  act = null;
  run?.();
  if (party.kind === null) {
    if (connection.reader.length < HELLO_BYTES) return;
    begin(connection, party);
  }
  switch (party.kind) {
    case "echo":
      if (connection.reader.length > 0) echo(connection, party).catch(() => {});
      return;
    case "echo later":
      return echoLater(connection, party);
    case "upload":
      return upload(connection, party);
    default:
      return push(connection, party);
  }
}

/**
 * An echo on Bun.listen: `bun_listen.ts PORT MESSAGE_BYTES MODE`, over TLS with `KEY CERTIFICATE` behind these.
 *
 * `write` takes what the socket takes; the rest is the program's to keep until `drain`, and a
 * client that does not take it is not read from.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { encodeFrames, framesBytes, FrameSplitter, LateAnswers, writeFrame } from "./frames.mjs";
import { identity } from "./identity.mjs";
import { Room } from "./room.mjs";

/** The part of Bun's API in use here, written out so that Deno's checker knows it too. */
interface Socket<T> {
  data: T;
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  terminate(): void;
}
interface Handlers<T> {
  open(socket: Socket<T>): void;
  data(socket: Socket<T>, bytes: Uint8Array): void;
  drain(socket: Socket<T>): void;
  close(socket: Socket<T>): void;
  error(): void;
}
declare const Bun: {
  listen<T>(
    options: {
      hostname: string;
      port: number;
      tls?: { key: string; cert: string } | undefined;
      socket: Handlers<T>;
    },
  ): { readonly port: number };
};

/** The state of a connection. */
interface Session {
  /** Bytes that the client has not taken yet. */
  unsent: Uint8Array[];
  readonly splitter: FrameSplitter;
  readonly late: LateAnswers | null;
}
type Client = Socket<Session>;

const mode = process.argv[4] ?? "echo";

/** Sends bytes and keeps the rest that the client does not take. True when it takes all of them. */
function send(socket: Client, bytes: Uint8Array, isReused = false): boolean {
  const { unsent } = socket.data;
  const written = unsent.length > 0 ? 0 : socket.write(bytes);
  if (written === bytes.length || written < 0) return true;
  const rest = isReused ? bytes.slice(written) : bytes.subarray(written);
  if (unsent === NOTHING) socket.data = { ...socket.data, unsent: [rest] };
  else unsent.push(rest);
  return false;
}

/** Sends the bytes that were kept. True when the client takes all of them. */
function sendKept(socket: Client): boolean {
  const { unsent } = socket.data;
  while (unsent.length > 0) {
    const written = socket.write(unsent[0]!);
    if (written < 0) return false;
    if (written < unsent[0]!.length) {
      unsent[0] = unsent[0]!.subarray(written);
      return false;
    }
    unsent.shift();
  }
  return true;
}

function answer(socket: Client, bytes: Uint8Array, isReused?: boolean): void {
  if (!send(socket, bytes, isReused)) socket.pause();
}

// `write` has sent or refused the bytes when it returns: one array serves for all answers.
let response: Uint8Array = Buffer.alloc(64 * 1024);

function answerFrames(socket: Client, payloads: readonly Uint8Array[]): void {
  const count = framesBytes(payloads);
  if (count > response.length) response = Buffer.alloc(count);
  let at = 0;
  for (const payload of payloads) at = writeFrame(response, at, payload);
  answer(socket, response.subarray(0, count), true);
}

const room = new Room();

/** Answers the requests that a chunk completes. */
function onFrames(socket: Client, payloads: Uint8Array[]): void {
  if (mode === "broadcast") room.broadcast(socket, encodeFrames(payloads), send);
  else if (socket.data.late !== null) socket.data.late.answer(payloads);
  else answerFrames(socket, payloads);
}

function splitFrames(socket: Client, bytes: Uint8Array): void {
  let payloads: Uint8Array[];
  try {
    payloads = socket.data.splitter.split(bytes);
  } catch {
    return socket.terminate(); // it announced too long a payload
  }
  if (payloads.length > 0) onFrames(socket, payloads);
}

// Shared: nearly every connection never has anything unsent, and an echo splits nothing.
const NOTHING: Uint8Array[] = [];
const ECHO: Session = { unsent: NOTHING, splitter: new FrameSplitter(), late: null };

const server = Bun.listen<Session>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  tls: identity ?? undefined,
  socket: {
    open(socket) {
      if (mode === "echo") {
        socket.data = ECHO;
        return;
      }
      const late = mode === "tail"
        ? new LateAnswers(socket, (payloads) => answerFrames(socket, payloads))
        : null;
      socket.data = { unsent: NOTHING, splitter: new FrameSplitter(), late };
      if (mode === "broadcast") room.join(socket);
    },
    data: mode === "echo" ? answer : splitFrames,
    drain(socket) {
      if (!sendKept(socket)) return;
      if (mode === "broadcast") room.drained(socket);
      else socket.resume();
    },
    close(socket) {
      if (mode === "broadcast") room.leave(socket);
    },
    error() {},
  },
});
console.log(`listening ${server.port}`);

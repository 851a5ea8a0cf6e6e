/**
 * The end of a Node stream, for its readers and writers.
 */
import { EofError, NetpollError } from "../core/errors.ts";

/** The part of a stream of node:stream that tells of its end. */
export interface EndingStream {
  /** Whether it is over. */
  readonly destroyed: boolean;
  /** Whether everything was read, the end included. */
  readonly readableEnded?: boolean;
  /** The reason of the failure. */
  readonly errored?: Error | null;
  /** Listens. */
  on(event: "end" | "error" | "close", listener: (error: Error) => void): unknown;
}

/** A reason, which may be any value; null as a reason is the ordinary end. */
interface Reason {
  readonly error: unknown;
}

/**
 * Listens to a stream once, for all readers and writers that it ever gets: a socket that lives for
 * a month has one listener of ours for each event.
 */
export class NodeEnd {
  /** The reason why nothing more can be read; its error is null after the ordinary end. */
  read: Reason | null = null;
  /** The reason why nothing more can be written. */
  write: Reason | null = null;
  /** Called when one of the two is known. Each caller removes itself when it waits no longer. */
  readonly listeners = new Set<() => void>();

  /** Use {@linkcode endOf}: a stream has one. */
  constructor(stream: EndingStream) {
    stream.on("end", () => this.#end({ error: null }, null));
    // An error that nobody listens for ends the process. The listener stays when reader and writer
    // are closed, since a socket may fail late.
    stream.on("error", (error) => this.#end({ error }, { error }));
    stream.on("close", () => this.#end(...destroyed()));
    if (stream.readableEnded === true) this.read = { error: null };
    if (!stream.destroyed) return;
    const { errored: error } = stream;
    if (error == null) this.#end(...destroyed());
    else this.#end({ error }, { error });
  }

  #end(read: Reason, write: Reason | null): void {
    this.read ??= read;
    this.write ??= write;
    for (const listener of [...this.listeners]) listener();
  }
}

/** The reasons of a stream that is destroyed before its end. That of readers has a cause. */
function destroyed(): [Reason, Reason] {
  const cause = new Error("the stream was destroyed");
  return [
    { error: new EofError("Cannot read more: the stream was destroyed before its end", { cause }) },
    { error: new NetpollError("Cannot write: the stream was destroyed") },
  ];
}

const ends = new WeakMap<EndingStream, NodeEnd>();

/** The end of a stream, which is listened for from now on. */
export function endOf(stream: EndingStream): NodeEnd {
  const known = ends.get(stream);
  if (known !== undefined) return known;
  const end = new NodeEnd(stream);
  ends.set(stream, end);
  return end;
}

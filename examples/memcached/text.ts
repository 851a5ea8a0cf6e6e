/**
 * Answers of memcached's text protocol (protocol.txt of memcached).
 */
import { type BufferReader, FrameError } from "../../mod.ts";
import { BAD_LINE, isKey, type TextRequest, TextRequests } from "./request.ts";
import { type Protocol, type Session, statsOf, VERSION } from "./session.ts";
import type { Entry, Verb } from "./store.ts";

const INTEGER = /^-?\d{1,10}$/;
const BAD_TIME = "CLIENT_ERROR invalid exptime argument";
const UINT64_MAX = 2n ** 64n - 1n;

/** Answers with a line, or with nothing when the answer was written or none is wanted. */
type Answer = string | null | Promise<void>;
type Command = (session: Session, words: readonly string[], value: Uint8Array | null) => Answer;

function writeEntry({ writer }: Session, key: string, entry: Entry, hasCas: boolean): void {
  const cas = hasCas ? ` ${entry.cas}` : "";
  writer.writeString(`VALUE ${key} ${entry.flags} ${entry.value.length}${cas}\r\n`, "latin1");
  writer.writeBinary(entry.value);
  writer.writeString("\r\n");
}

/** Waits for room where a client asks for more at once than it reads. */
async function sendRest(
  session: Session,
  keys: readonly string[],
  hasCas: boolean,
  find: (key: string) => Entry | undefined,
): Promise<void> {
  for (const key of keys) {
    if (!session.writer.isWritable) await session.writer.flush();
    const entry = find(key);
    if (entry !== undefined) writeEntry(session, key, entry, hasCas);
  }
  session.writer.writeString("END\r\n");
  await session.writer.flush();
}

function sendAll(
  session: Session,
  keys: readonly string[],
  hasCas: boolean,
  find: (key: string) => Entry | undefined,
): Answer {
  if (!keys.every(isKey)) return BAD_LINE;
  for (const [i, key] of keys.entries()) {
    if (!session.writer.isWritable) return sendRest(session, keys.slice(i), hasCas, find);
    const entry = find(key);
    if (entry !== undefined) writeEntry(session, key, entry, hasCas);
  }
  return "END";
}

function get(hasCas: boolean): Command {
  return (session, [, ...keys]) => {
    if (keys.length === 0) return "ERROR";
    return sendAll(session, keys, hasCas, (key) => session.store.get(key));
  };
}

function getAndTouch(hasCas: boolean): Command {
  return (session, [, time, ...keys]) => {
    if (time === undefined) return "ERROR";
    if (!INTEGER.test(time)) return BAD_TIME;
    const { store } = session;
    return sendAll(session, keys, hasCas, (key) => {
      const entry = store.get(key);
      store.touch(key, Number(time));
      return entry;
    });
  };
}

const store: Command = ({ store }, [verb, key, flags, seconds, , cas], value) => {
  const result = store.store(verb as Verb, key!, value!, {
    flags: Number(flags),
    seconds: Number(seconds),
    cas: Number(cas ?? 0),
  });
  return result === "TOO_LARGE" ? "SERVER_ERROR object too large for cache" : result;
};

function count(sign: bigint): Command {
  return ({ store }, words) => {
    const [, key = "", by = ""] = words;
    if (words.length !== 3) return "ERROR";
    if (!isKey(key)) return BAD_LINE;
    if (!/^\d{1,20}$/.test(by) || BigInt(by) > UINT64_MAX) {
      return "CLIENT_ERROR invalid numeric delta argument";
    }
    const sum = store.count64(key, sign * BigInt(by));
    if (sum === null) return "CLIENT_ERROR cannot increment or decrement non-numeric value";
    return sum === undefined ? "NOT_FOUND" : `${sum}`;
  };
}

const remove: Command = ({ store }, words) => {
  const [, key = "", time] = words;
  if (words.length < 2 || words.length > 3) return "ERROR";
  if (!isKey(key) || (time !== undefined && time !== "0")) {
    return `${BAD_LINE}.  Usage: delete <key> [noreply]`;
  }
  return store.delete(key) ? "DELETED" : "NOT_FOUND";
};

const touch: Command = ({ store }, words) => {
  const [, key = "", time = ""] = words;
  if (words.length !== 3) return "ERROR";
  if (!isKey(key)) return BAD_LINE;
  if (!INTEGER.test(time)) return BAD_TIME;
  return store.touch(key, Number(time)) === undefined ? "NOT_FOUND" : "TOUCHED";
};

const flush: Command = ({ store }, [, delay = "0"]) => {
  if (!INTEGER.test(delay)) return BAD_TIME;
  store.flush(Math.max(0, Number(delay)));
  return "OK";
};

/** The groups of `stats` that have nothing to tell here. */
const EMPTY_STATS = ["items", "slabs", "sizes", "settings", "conns"];

const stats: Command = (session, [, what = ""]) => {
  if (what === "reset") return "RESET";
  if (EMPTY_STATS.includes(what)) return "END";
  if (what !== "") return "ERROR";
  for (const [name, value] of statsOf(session)) {
    session.writer.writeString(`STAT ${name} ${value}\r\n`);
  }
  return "END";
};

const quit: Command = (session) => {
  session.isClosing = true;
  return null;
};

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["get", get(false)],
  ["gets", get(true)],
  ["gat", getAndTouch(false)],
  ["gats", getAndTouch(true)],
  ["set", store],
  ["add", store],
  ["replace", store],
  ["append", store],
  ["prepend", store],
  ["cas", store],
  ["incr", count(1n)],
  ["decr", count(-1n)],
  ["delete", remove],
  ["touch", touch],
  ["flush_all", flush],
  ["stats", stats],
  ["version", () => `VERSION ${VERSION}`],
  ["verbosity", (_, { length }) => length === 2 ? "OK" : "ERROR"],
  ["quit", quit],
]);

/** Answers the requests of one connection. */
export class TextProtocol implements Protocol {
  readonly #session: Session;
  readonly #requests = new TextRequests();

  /** It writes to the session's writer. */
  constructor(session: Session) {
    this.#session = session;
  }

  answerNext(reader: BufferReader): boolean | Promise<void> {
    try {
      const request = this.#requests.next(reader);
      return request !== undefined && this.#answer(request);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#session.writer.writeString("CLIENT_ERROR line too long\r\n");
      this.#session.isClosing = true;
      return false;
    }
  }

  needed(reader: BufferReader): number {
    return this.#requests.needed(reader);
  }

  #answer({ words, isQuiet, value, error }: TextRequest): true | Promise<void> {
    const command = COMMANDS.get(words[0]!);
    const answer = error ?? command?.(this.#session, words, value);
    if (answer instanceof Promise) return answer;
    if (answer !== null && !isQuiet) this.#session.writer.writeString(`${answer ?? "ERROR"}\r\n`);
    return true;
  }
}

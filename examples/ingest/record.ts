/**
 * Records of a stream: lines, or texts behind their length (RFC 6587, section 3.4), as they come.
 */
import { type BufferReader, type Codec, FrameError, lines } from "../../mod.ts";
import { readSyslog } from "../collector/syslog.ts";

/** The longest record. RFC 5424 asks for 2048 bytes; traces of errors are longer. */
const RECORD_BYTES_MAX = 64 * 1024;
/** The digits of a length, with the space behind them. */
const LENGTH_BYTES_MAX = 6;

const SPACE = 32;
const [ZERO, NINE] = [48, 57];
const line = lines({ frameBytesMax: RECORD_BYTES_MAX, strip: false });

function isCounted(first: number): boolean {
  return first > ZERO && first <= NINE;
}

/** The bytes of a length and of the record behind it; the latter -1 while the length goes on. */
function measure(reader: BufferReader): [head: number, record: number] {
  const head = reader.peek(Math.min(reader.length, LENGTH_BYTES_MAX));
  let length = 0;
  for (const [i, byte] of head.entries()) {
    if (byte === SPACE && length <= RECORD_BYTES_MAX) return [i + 1, length];
    if (byte < ZERO || byte > NINE) break;
    length = length * 10 + byte - ZERO;
    if (i + 1 === head.length && i + 1 < LENGTH_BYTES_MAX) return [head.length + 1, -1];
  }
  const message = `Cannot decode a record: its length is none, or above ${RECORD_BYTES_MAX}`;
  throw new FrameError("malformed", 0, message);
}

/** Texts: a digit begins a length, everything else a line. There is nothing else to tell them apart. */
export const records: Codec<string, never> = {
  decode(reader) {
    if (reader.length === 0) return undefined;
    if (!isCounted(reader.peek(1)[0]!)) {
      const count = line.frameBytes(reader);
      return count < 0 ? undefined : reader.readString(count).trimEnd();
    }
    const [head, count] = measure(reader);
    if (count < 0 || reader.length < head + count) return undefined;
    reader.skip(head);
    return reader.readString(count).trimEnd();
  },
  encode() {
    throw new Error("Cannot encode records: this server only reads them");
  },
  needed(reader) {
    if (reader.length === 0) return 1;
    if (!isCounted(reader.peek(1)[0]!)) return line.needed(reader);
    const [head, count] = measure(reader);
    return head + Math.max(0, count);
  },
};

/** The kinds of records, and what is none of them. */
export type Kind = "json" | "syslog" | "other";

/** The kind of a record, and the line of JSON that it becomes. */
export function toLine(text: string): [kind: Kind, line: string] {
  if (text.startsWith("<")) {
    const entry = readSyslog(text);
    if (entry !== null) return ["syslog", JSON.stringify(entry)];
  } else if (text.startsWith("{")) {
    try {
      return ["json", JSON.stringify(JSON.parse(text))];
    } catch {
      // it is kept as what it is
    }
  }
  return ["other", JSON.stringify({ text })];
}

/**
 * docs/LIMITS.md says what src/core/limits.ts does.
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as limits from "../../src/core/limits.ts";

const text = readFileSync(new URL("../../docs/LIMITS.md", import.meta.url).pathname, "utf8");

/** A row's first words, and the constants that its default is made of. */
const ROWS: Readonly<Record<string, readonly number[]>> = {
  "`messageBytesMax`": [limits.MESSAGE_BYTES_MAX],
  "`maxBytes` of `waitUntil`": [limits.UNTIL_BYTES_MAX],
  "`readBufferBytesMax`, held input": [limits.READ_BUFFER_BYTES_MAX],
  "`writeBufferBytesMax`, held output": [limits.WRITE_BUFFER_BYTES_MAX],
  "files that wait to be sent": [limits.FILES_UNSENT_MAX],
  "bytes between two piped connections": [limits.PIPE_BYTES],
  "`windowBytes` of `memoryPair`": [limits.MEMORY_WINDOW_BYTES],
  "`casesMax` of `everySplit`, `everyLoss`": [limits.CASES_MAX],
  "`fromDuplex`: bytes that wait unreceived": [limits.BROUGHT_BYTES_MAX],
  "… that it brings in a row": [limits.STREAM_BYTES_PER_TURN_MAX],
  "… one write to it": [limits.STREAM_WRITE_BYTES_MAX],
  "… one that counts as sent at once": [limits.EAGER_BYTES_MAX],
  "pieces in one `sendmsg`": [limits.IOVECS_MAX],
  "one read": [limits.READ_BYTES_FIRST, limits.READ_BYTES_MAX],
  "`backlog`": [limits.BACKLOG],
  "connections taken from the queue at `shutdown`": [limits.DRAIN_ACCEPTS_MAX],
  "a datagram by IPv4": [limits.DATAGRAM_BYTES_MAX[4]],
  "a datagram by IPv6": [limits.DATAGRAM_BYTES_MAX[6]],
  "`receiveCountMax`": [limits.DATAGRAMS_RECEIVED_MAX],
  "`queueCountMax`": [limits.DATAGRAMS_QUEUED_MAX],
  "`queueBytesMax`": [limits.DATAGRAM_BYTES_QUEUED_MAX],
  "datagrams of one train": [limits.TRAIN_COUNT_MAX],
  "a slice that keeps its slot": [limits.DATAGRAM_KEEP_BYTES_MIN],
  "errors that wait to be told": [limits.DATAGRAM_ERRORS_MAX],
  "destinations that a sandbox has granted": [limits.DESTINATIONS_MAX],
  "`frameBytesMax` of a length, or of RESP": [limits.FRAME_BYTES_MAX],
  "`frameBytesMax` of lines and delimiters": [limits.LINE_BYTES_MAX],
  "… at most": [limits.PIECE_BYTES_MAX],
  "arrays, maps and sets of RESP in another": [limits.RESP_DEPTH_MAX],
  "a line of RESP, or of a command without it": [limits.RESP_LINE_BYTES_MAX],
  "`pendingMax`, requests without an answer": [limits.REQUESTS_PENDING_MAX],
  "`runningMax`, requests being answered": [limits.ANSWERS_RUNNING_MAX],
  "events of one `epoll_wait`": [limits.EVENTS_PER_WAIT_MAX],
  "bytes read or sent for one event": [limits.BYTES_PER_EVENT_MAX],
  "runs of a handler for one event": [limits.RUNS_PER_EVENT_MAX],
  "waits met at once for one event": [limits.WAITS_PER_EVENT_MAX],
  "requests and answers in one go": [limits.MESSAGES_PER_TASK],
  "a call of a handler": [limits.CALL_MICROS_LONG / 1000],
  "connections accepted for one event": [limits.ACCEPTS_PER_EVENT_MAX],
  "one `malloc`, one `LinkBuffer`": [limits.PIECE_BYTES_MAX],
  "a message in one block": [limits.CONTIGUOUS_BYTES_MAX],
  "a block of a slab": [limits.BLOCK_BYTES_MIN, limits.BLOCK_BYTES_MAX],
  "such a mapping, kept for reuse": [limits.LARGE_KEEP_BYTES_MAX],
  "your array, copied by `writeBinary`": [limits.COPY_BYTES_MAX],
  "one send": [limits.ZERO_COPY_CALL_BYTES_MAX],
  "sends under way, a connection": [
    limits.ZERO_COPY_CALLS_MAX,
    limits.ZERO_COPY_OUTSTANDING_BYTES_MAX,
  ],
  "pinned blocks, a thread": [limits.ZERO_COPY_PINNED_BYTES_MAX],
  'completions in a row that say "copied"': [limits.ZERO_COPY_COPIED_MAX],
  "connections on their way to one Worker": [limits.RING_COUNT_MAX],
  "`pollerCount`": [limits.POLLERS_MAX],
};

/** The numbers of a default: "8 KiB … 1 MiB" is 8192 and 1048576, "65 536" one number. */
function numbersOf(cell: string): number[] {
  const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  return [...cell.matchAll(/(\d+(?: \d{3})*)(?: ([KMG]iB))?/g)].map(([, digits, unit]) =>
    Number(digits!.replaceAll(" ", "")) * (unit === undefined ? 1 : units[unit]!)
  );
}

test("LIMITS.md gives each bound the default that it has", () => {
  const rows = new Map(
    text.split("\n").filter((line) => line.startsWith("|")).map((line) => {
      const [, name = "", value = ""] = line.split("|").map((cell) => cell.trim());
      return [name, value];
    }),
  );
  for (const [name, expected] of Object.entries(ROWS)) {
    assertEquals(numbersOf(rows.get(name) ?? ""), [...expected], name);
  }
});

test("numbersOf() reads sizes, ranges and thousands, so that the rule above can fail", () => {
  assertEquals(numbersOf("8 KiB … 1 MiB"), [8192, 1_048_576]);
  assertEquals(numbersOf("256, 4 MiB"), [256, 4_194_304]);
  assertEquals(numbersOf("65 536"), [65_536]);
  assertEquals(numbersOf(""), []);
});

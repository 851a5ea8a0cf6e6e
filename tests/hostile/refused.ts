/**
 * Requests of RESP and of HTTP that no server may take.
 */
import type { Refused } from "./targets.ts";

/** Values of RESP that are none, are too long, or are too deep. */
export const RESP_REFUSED: readonly Refused[] = [
  ["an array of -2 values", "*-2\r\n"],
  ["a string of -2 bytes", "$-2\r\n"],
  ["a string of one byte too many", "$65537\r\n"],
  ["an array of more than a number holds", "*99999999999999999999\r\n"],
  ["a string of more than a number holds", "$99999999999999999999\r\n"],
  ["a count with a sign", "*+1\r\n"],
  ["a count with a blank", "* 1\r\n"],
  ["a hexadecimal count", "*0x1\r\n"],
  ["an array of more values than a frame has bytes", "*2147483647\r\n"],
  ["arrays in arrays", "*1\r\n".repeat(64)],
  ["maps in maps", "%1\r\n+k\r\n".repeat(64)],
  ["a string that is longer than it says", "*1\r\n$5\r\nhello, you\r\n"],
  ["a number of 5000 digits", `(${"9".repeat(5000)}\r\n`],
  ["a line without an end", `+${"x".repeat(70_000)}`],
  ["a line that ends in a bare LF", `*1\n$1\na\n${"x".repeat(8)}`],
];

/** Whoever answers this has taken a body for a request. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

function post(fields: string, body = ""): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}${SMUGGLED}`;
}

/** Requests that two servers could read in two ways, and some that are too long. */
export const HTTP_REFUSED: readonly Refused[] = [
  ["two lengths", post("Content-Length: 0\r\nContent-Length: 35\r\n")],
  ["two equal lengths", post("Content-Length: 0\r\nContent-Length: 0\r\n")],
  ["a list of lengths", post("Content-Length: 0, 0\r\n")],
  [
    "a length and a coding",
    post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  ],
  [
    "a coding and a length",
    post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
  ],
  [
    "two codings",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
  ],
  ["another coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")],
  ["a coding after another", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")],
  ["a coding with a tab", post("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n")],
  ["a blank before the colon", post("Content-Length : 35\r\n")],
  ["a folded field", post("X: a\r\n b\r\n")],
  ["a folded length", post("Content-Length:\r\n 35\r\n")],
  ["lines that end in a bare LF", "GET / HTTP/1.1\nHost: a\n\n" + "\r\n\r\n" + SMUGGLED],
  ["a field that ends in a bare LF", `GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n${SMUGGLED}`],
  ["a bare CR in a field", post("X: a\rContent-Length: 35\r\n")],
  ["a NUL in a field", post("X: a\0b\r\n")],
  ["a length with a sign", post("Content-Length: +0\r\n")],
  ["a length below zero", post("Content-Length: -1\r\n")],
  ["a hexadecimal length", post("Content-Length: 0x23\r\n")],
  ["a length of more than a number holds", post(`Content-Length: ${"9".repeat(30)}\r\n`)],
  ["a body of one byte too many", post("Content-Length: 1048577\r\n")],
  ["a chunk of -1 bytes", post("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n")],
  ["a chunk with a prefix", post("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n")],
  ["a chunk of more than a number holds", post("Transfer-Encoding: chunked\r\n", "f".repeat(20))],
  ["a chunk that ends in a bare LF", post("Transfer-Encoding: chunked\r\n", "0\n\n")],
  [
    "a chunk that is longer than it says",
    post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"),
  ],
  ["no host", `GET / HTTP/1.1\r\n\r\n${SMUGGLED}`],
  ["two hosts", `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${SMUGGLED}`],
  ["another version", `GET / HTTP/2.0\r\nHost: a\r\n\r\n${SMUGGLED}`],
  ["no version", `GET /\r\n\r\n${SMUGGLED}`],
  ["a target with a blank", `GET / b HTTP/1.1\r\nHost: a\r\n\r\n${SMUGGLED}`],
  ["a head without an end", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(4000)}`],
  ["a field without an end", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(20_000)}`],
  ["a target without an end", `GET /${"y".repeat(20_000)}`],
];

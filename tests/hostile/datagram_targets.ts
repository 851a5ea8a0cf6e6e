/**
 * The datagram servers that are attacked: ours, and those of the examples, each with a question that
 * it answers whatever else it is sent.
 */
import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";

/** A server of datagrams. */
export interface DatagramTarget {
  readonly name: string;
  /** Its program. */
  readonly file: string;
  /** Arguments behind the address. */
  readonly args?: readonly string[];
  /** A question with a number in it. */
  question(n: number): Uint8Array;
  /** Whether that is the answer. Fails where nobody would give one like it. */
  isAnswer(n: number, answer: Uint8Array): boolean;
}

const OURS = "tests/hostile/datagram_server.ts";
const DNS_HEAD_BYTES = 12;
const NTP_BYTES = 48;

function text(n: number): Uint8Array {
  return new Uint8Array(Buffer.from(`question ${n}`));
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function echoing(name: string): DatagramTarget {
  return {
    name: `datagram ${name}`,
    file: OURS,
    args: [name],
    question: text,
    isAnswer: (n, answer) => isSame(answer, text(n)),
  };
}

/** A question for the address of hello.test (RFC 1035 §4). */
function dnsQuestion(n: number): Uint8Array {
  const head = [n >> 8 & 255, n & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  const name = ["hello", "test"].flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Uint8Array.of(...head, ...name, 0, 0, 1, 0, 1);
}

/** A request of a client (RFC 5905 §7.3) that was sent at some time. */
function ntpQuestion(n: number): Uint8Array {
  const bytes = new Uint8Array(NTP_BYTES);
  bytes[0] = 4 << 3 | 3;
  new DataView(bytes.buffer).setUint32(44, n);
  return bytes;
}

function tftpQuestion(n: number): Uint8Array {
  return new Uint8Array(Buffer.from(`\0\x01absent-${n}\0octet\0`));
}

/** All of them. */
export const DATAGRAM_TARGETS: readonly DatagramTarget[] = [
  echoing("echo"),
  echoing("writer"),
  echoing("thrower"),
  {
    name: "DNS",
    file: "examples/dns_server.ts",
    question: dnsQuestion,
    isAnswer(n, answer) {
      const { buffer, byteOffset } = answer;
      if (new DataView(buffer, byteOffset).getUint16(0) !== (n & 0xffff)) return false;
      assertEquals([...answer.subarray(-4)], [192, 0, 2, 1]);
      return answer.length > DNS_HEAD_BYTES;
    },
  },
  {
    name: "NTP",
    file: "examples/ntp_server.ts",
    question: ntpQuestion,
    isAnswer: (n, answer) => new DataView(answer.buffer, answer.byteOffset).getUint32(28) === n,
  },
  {
    name: "TFTP",
    file: "examples/tftp_server.ts",
    args: ["tests/hostile"],
    question: tftpQuestion,
    // A file that is not there: an error with the number 1 (RFC 1350 §5), from a port of its own.
    isAnswer: (_, answer) => answer[1] === 5,
  },
  {
    name: "connection ids",
    file: "examples/connection_ids.ts",
    args: ["--pollers", "2"],
    // Nobody has such a connection: 131, and its number.
    question: (n) => Uint8Array.of(2, 0xfe, 0xdc, 0, 0, 0, 0, n >> 8 & 255, n & 255),
    isAnswer: (n, answer) =>
      isSame(answer, Uint8Array.of(131, 0xfe, 0xdc, 0, 0, 0, 0, n >> 8 & 255, n & 255)),
  },
];

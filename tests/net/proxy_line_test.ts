import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { test } from "node:test";
import { decodeProxyHeader, ProxyHeaderError } from "../../mod.ts";
import { writeLine } from "../../src/net/proxy_line.ts";
import { seededRandom } from "../support/random.ts";

function read(line: string): string {
  try {
    const header = decodeProxyHeader(Buffer.from(line, "latin1"));
    if (header === null) return "more";
    const { source, destination } = header;
    return source === null ? "unknown" : JSON.stringify([source, destination]);
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return error.fault;
  }
}

test("readLine() finds the end within 107 bytes, and not beyond", () => {
  const unknown = (count: number) => `PROXY UNKNOWN ${"x".repeat(count)}`;
  assertEquals(read(unknown(91) + "\r\n"), "unknown"); // 107
  assertEquals(read(unknown(92) + "\r\n"), "too-long");
  assertEquals(read(unknown(92)), "more"); // 106: it can still end
  assertEquals(read(unknown(93)), "too-long");
});

test("readLine() reads the longest lines of each family", () => {
  const ip4 = "255.255.255.255";
  const ip6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffF";
  assertEquals(read(`PROXY TCP4 ${ip4} ${ip4} 65535 65535\r\n`).includes(ip4), true);
  assertEquals(read(`PROXY TCP6 ${ip6} ${ip6} 65535 65535\r\n`).includes(ip6.toLowerCase()), true);
});

test("readLine() reads what writeLine() has written, and any one changed letter as another or none", () => {
  const ends = [
    { transport: "tcp", hostname: "2001:db8::7", port: 80 },
    { transport: "tcp", hostname: "::1", port: 0 },
  ] as const;
  const line = Buffer.from(writeLine(ends)).toString();
  assertEquals(read(line), JSON.stringify(ends));
  assertEquals(read(Buffer.from(writeLine(null)).toString()), "unknown");
  const random = seededRandom(7);
  for (let n = 0; n < 3000; n++) {
    const at = random.below(line.length);
    const changed = line.slice(0, at) + String.fromCharCode(random.below(256)) + line.slice(at + 1);
    assertEquals(read(changed).startsWith("["), isLine(changed), JSON.stringify(changed));
  }
});

/** The specification in one expression, and addresses as the runtime knows them. */
function isLine(text: string): boolean {
  const port = "(0|[1-9][0-9]{0,4})";
  const match = new RegExp(`^PROXY TCP6 ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) ${port} ${port}\r\n`)
    .exec(text);
  return match !== null && isIP(match[1]!) === 6 && isIP(match[2]!) === 6 &&
    Number(match[3]) < 65536 && Number(match[4]) < 65536;
}

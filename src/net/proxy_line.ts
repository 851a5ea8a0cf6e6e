/**
 * Version 1 of the PROXY protocol: one line of text (the specification, §2.1).
 */
import { Buffer } from "node:buffer";
import { isIPv6 } from "node:net";
import { ProxyHeaderError } from "../core/proxy_header_error.ts";
import { PROXY_LINE_BYTES_MAX } from "../core/limits.ts";
import { formatAddress, rawFromNumeric, type TcpAddress } from "./address.ts";
import type { ProxyHeader } from "./proxy_contract.ts";
import { noValues } from "./proxy_values.ts";

/** The first bytes of every line. */
export const LINE_SIGNATURE: Uint8Array = Buffer.from("PROXY ");

/** No octal number: who has checked such a line would have checked another host. */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|$)){4}(?<!\.)$/;
const PORT = /^(?:0|[1-9]\d{0,4})$/;

function fault(line: string, why: string): ProxyHeaderError {
  return new ProxyHeaderError("address", `${why} in the line ${JSON.stringify(line)}`);
}

/**
 * Where the end of a line is, -1 while it is not there. Of what cannot be named all up to the end is
 * ignored; any other line has one end, and nothing like it before.
 */
function endOf(text: string): number {
  if (text.startsWith("PROXY UNKNOWN ")) return text.indexOf("\r\n");
  const at = text.search(/[\r\n]/);
  if (at < 0 || at + 1 === text.length && text[at] === "\r") return -1;
  if (text.startsWith("\r\n", at)) return at;
  throw fault(text.slice(0, at), "no CR and LF together end what is");
}

/** Whether it is an IPv6 address without a zone. C libraries write the end of some with dots. */
function isPlainIPv6(hostname: string): boolean {
  const last = hostname.slice(hostname.lastIndexOf(":") + 1);
  return !hostname.includes("%") && isIPv6(hostname) && (!last.includes(".") || IPV4.test(last));
}

function addressOf(line: string, protocol: string, hostname: string, port: string): TcpAddress {
  const isRight = protocol === "TCP4" ? IPV4.test(hostname) : isPlainIPv6(hostname);
  if (!isRight) throw fault(line, `${JSON.stringify(hostname)} is no address of ${protocol}`);
  if (!PORT.test(port) || Number(port) > 0xffff) {
    throw fault(line, `${JSON.stringify(port)} is no port`);
  }
  return formatAddress(rawFromNumeric(hostname, Number(port))) as TcpAddress;
}

/**
 * Reads a line from its first bytes, which begin with "PROXY " as far as they are there. Null while
 * its end is not.
 *
 * @throws {ProxyHeaderError} It is none.
 */
export function readLine(bytes: Uint8Array): ProxyHeader | null {
  const text = Buffer.from(bytes.subarray(0, PROXY_LINE_BYTES_MAX)).toString("latin1");
  const end = endOf(text);
  if (end < 0) {
    if (text.length < PROXY_LINE_BYTES_MAX) return null;
    throw new ProxyHeaderError("too-long", `its line has no end in ${PROXY_LINE_BYTES_MAX} bytes`);
  }
  const line = text.slice(0, end);
  const header = { version: 1, command: "PROXY", headerBytes: end + 2, ...noValues() } as const;
  const [, protocol, from, to, fromPort, toPort, more] = line.split(" ");
  if (protocol === "UNKNOWN") return { ...header, source: null, destination: null };
  if (protocol !== "TCP4" && protocol !== "TCP6") {
    throw new ProxyHeaderError(
      "family",
      `it is neither TCP4, TCP6 nor UNKNOWN: ${JSON.stringify(line)}`,
    );
  }
  if (toPort === undefined || more !== undefined) {
    throw fault(line, "there are not two addresses and two ports");
  }
  return {
    ...header,
    source: addressOf(line, protocol, from!, fromPort!),
    destination: addressOf(line, protocol, to!, toPort),
  };
}

/** The line of two addresses of one family; of none, that they are not known. */
export function writeLine(
  ends: readonly [source: TcpAddress, destination: TcpAddress] | null,
): Uint8Array {
  if (ends === null) return Buffer.from("PROXY UNKNOWN\r\n");
  const [source, destination] = ends;
  const protocol = source.hostname.includes(":") ? "TCP6" : "TCP4";
  const hosts = `${source.hostname} ${destination.hostname}`;
  return Buffer.from(`PROXY ${protocol} ${hosts} ${source.port} ${destination.port}\r\n`);
}

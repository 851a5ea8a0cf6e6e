/**
 * The beginning of a connection to a SOCKS5 proxy (RFC 1928, RFC 1929): who the client is, and where
 * it wants to go.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Address, Connection, Reader, Writer } from "../../mod.ts";

const VERSION = 5;
const PASSWORD_VERSION = 1;

const Method = { OPEN: 0, PASSWORD: 2, NONE: 0xff } as const;
const Command = { CONNECT: 1 } as const;
const Kind = { IPV4: 1, NAME: 3, IPV6: 4 } as const;

/** The answers to a request. */
export const Reply = {
  SUCCEEDED: 0,
  FAILED: 1,
  NOT_ALLOWED: 2,
  NETWORK_UNREACHABLE: 3,
  HOST_UNREACHABLE: 4,
  REFUSED: 5,
  NO_COMMAND: 7,
  NO_KIND: 8,
} as const;
export type Reply = typeof Reply[keyof typeof Reply];

/** A request that is answered with a refusal; null where the client speaks something else. */
export class SocksError extends Error {
  readonly reply: Reply | null;

  /** The reason is for the log, the reply for the client. */
  constructor(reply: Reply | null, message: string) {
    super(message);
    this.reply = reply;
  }
}

/** The destination that a client asks for. */
export interface Target {
  /** A name, or an address as it is written: "::1". */
  readonly host: string;
  readonly port: number;
}

/** The name and the password that a client must show; null when everybody is welcome. */
export type Login = { readonly name: string; readonly password: string } | null;

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/** The time that it takes tells nothing about how much of it is right. */
function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

/** A text behind its length. */
async function readText(reader: Reader, signal: AbortSignal): Promise<string> {
  await reader.wait(1, { signal });
  const count = reader.readUint8();
  await reader.wait(count, { signal });
  return reader.readString(count);
}

/** Agrees on how the client says who it is, and hears it. */
async function authenticate(
  { reader, writer }: Connection,
  login: Login,
  signal: AbortSignal,
): Promise<void> {
  await reader.wait(2, { signal });
  const version = reader.readUint8();
  if (version !== VERSION) throw new SocksError(null, `Version ${version} is not SOCKS5`);
  const count = reader.readUint8();
  await reader.wait(count, { signal });
  const wanted = login === null ? Method.OPEN : Method.PASSWORD;
  const isOffered = reader.next(count).includes(wanted);
  writer.writeUint8(VERSION);
  writer.writeUint8(isOffered ? wanted : Method.NONE);
  await writer.flush();
  if (!isOffered) throw new SocksError(null, "The client offers no method that is enough");
  if (login === null) return;
  await reader.wait(1, { signal });
  if (reader.readUint8() !== PASSWORD_VERSION) throw new SocksError(null, "This is no password");
  const name = await readText(reader, signal);
  const isRight = isEqual(await readText(reader, signal), login.password) &&
    isEqual(name, login.name);
  writer.writeUint8(PASSWORD_VERSION);
  writer.writeUint8(isRight ? 0 : 1);
  await writer.flush();
  if (!isRight) throw new SocksError(null, "The name or the password is wrong");
}

async function readHost(reader: Reader, kind: number, signal: AbortSignal): Promise<string> {
  switch (kind) {
    case Kind.IPV4:
      await reader.wait(4, { signal });
      return reader.next(4).join(".");
    case Kind.IPV6: {
      await reader.wait(16, { signal });
      return Array.from({ length: 8 }, () => reader.readUint16BE().toString(16)).join(":");
    }
    case Kind.NAME:
      return await readText(reader, signal);
    default:
      throw new SocksError(Reply.NO_KIND, `There is no kind of address ${kind}`);
  }
}

/**
 * Hears a client out up to its request. Bytes that it sends behind that stay unread.
 *
 * @throws {SocksError} It is to be refused.
 */
export async function hear(
  connection: Connection,
  login: Login,
  signal: AbortSignal,
): Promise<Target> {
  const { reader } = connection;
  await authenticate(connection, login, signal);
  await reader.wait(4, { signal });
  if (reader.readUint8() !== VERSION) throw new SocksError(null, "This is no request");
  const command = reader.readUint8();
  reader.skip(1);
  const host = await readHost(reader, reader.readUint8(), signal);
  await reader.wait(2, { signal });
  const port = reader.readUint16BE();
  reader.release();
  if (command !== Command.CONNECT) {
    throw new SocksError(Reply.NO_COMMAND, `Command ${command} is none of this proxy's`);
  }
  if (host === "" || port === 0) throw new SocksError(Reply.FAILED, "Nobody can be there");
  return { host, port };
}

/** The eight numbers of an address of IPv6. */
function groupsOf(hostname: string): number[] {
  const [front, back] = hostname.split("%")[0]!.split("::").map((part) =>
    part.split(":").filter((group) => group !== "").map((group) => parseInt(group, 16))
  );
  const zeroCount = back === undefined ? 0 : 8 - front!.length - back.length;
  return [...front!, ...new Array(zeroCount).fill(0), ...back ?? []];
}

/** Writes an answer, with the address that the proxy has towards the server. */
export function writeReply(writer: Writer, reply: Reply, at: Address | null): void {
  const { hostname, port } = at?.transport === "tcp" ? at : { hostname: "0.0.0.0", port: 0 };
  const isIpv6 = hostname.includes(":");
  for (const byte of [VERSION, reply, 0, isIpv6 ? Kind.IPV6 : Kind.IPV4]) writer.writeUint8(byte);
  if (isIpv6) { for (const group of groupsOf(hostname)) writer.writeUint16BE(group); }
  else for (const byte of hostname.split(".")) writer.writeUint8(Number(byte));
  writer.writeUint16BE(port);
}

/**
 * The options of TLS, of servers and of clients.
 */
import { hostOf } from "./host.ts";
import {
  checkFunction,
  checkNumber,
  checkObject,
  type Known,
  readOptions,
  show,
} from "../core/options.ts";

/** A text or bytes in PEM: certificates, or a key. Never a path: nothing here opens a file. */
export type Pem = string | Uint8Array;

/** A version of TLS. */
export type TlsVersion = "1.2" | "1.3";

/** A certificate and its key. */
export interface TlsIdentity {
  /** The certificate in PEM, and behind it those that lead to an authority. */
  certificate: Pem;
  /** The key of the certificate in PEM. */
  key: Pem;
  /** The password of the key, where it is encrypted. */
  password?: string;
  /** An OCSP response in DER, shown to clients that ask for one. */
  ocspResponse?: Uint8Array;
}

/** Options of either side. */
export interface TlsCommonOptions {
  /**
   * The authorities in PEM that the peer's certificate must lead to; "system" are those of the
   * distribution, "runtime" those that Deno or Bun brings. A client takes "system" unless given.
   */
  authorities?: Pem | "system" | "runtime";
  /** Application protocols, the best first, like `["h2", "http/1.1"]`. None unless given. */
  alpnProtocols?: readonly string[];
  /** The lowest version. "1.2" unless given. */
  versionMin?: TlsVersion;
  /** The highest version. "1.3" unless given. */
  versionMax?: TlsVersion;
  /** The longest time of a handshake, in milliseconds; 0 for ever. 10 000 unless given. */
  handshakeTimeoutMs?: number;
  /**
   * An open descriptor to which the secrets of each connection are written, in the format that
   * Wireshark reads. Whoever reads that file can read all traffic. None unless given.
   */
  keyLogFd?: number;
}

/**
 * Options of a server.
 *
 * @example An echo over TLS
 * ```ts ignore
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 * import { readFileSync } from "node:fs";
 *
 * const listener = createListener("tcp", "127.0.0.1:6383", {
 *   tls: { certificate: readFileSync("server.pem"), key: readFileSync("server.key") },
 * });
 * const loop = new EventLoop(({ reader, writer }) => {
 *   writer.writeBinary(reader.next(reader.length));
 *   writer.flush();
 *   reader.release();
 * });
 * await loop.serve(listener);
 * ```
 */
export interface TlsServerOptions extends TlsIdentity, TlsCommonOptions {
  /**
   * Other certificates by the server name that a client asks for. "*.example.org" is any one label
   * before it; an exact name goes first. Clients that ask for another name get the certificate above.
   */
  names?: Readonly<Record<string, TlsIdentity>>;
  /**
   * Whether clients show a certificate: "none", "request" (one that is shown must be good), or
   * "require". Both want `authorities`. "none" unless given.
   */
  clientCertificate?: "none" | "request" | "require";
  /**
   * Chooses a certificate for the server name that a client asks for (null: for none), in place of
   * `names`. Null refuses the client. The handshake waits for the answer, the thread does not. Give
   * the same object for the same certificate: it is made ready once.
   */
  chooseIdentity?: (
    serverName: string | null,
  ) => TlsIdentity | null | Promise<TlsIdentity | null>;
}

/** Options of a client. */
export interface TlsClientOptions
  extends TlsCommonOptions, Partial<Omit<TlsIdentity, "ocspResponse">> {
  /**
   * The name, or the IP address, that the server's certificate must be for. That of the address that
   * is dialled unless given; over a Unix socket it must be given.
   */
  serverName?: string;
  /**
   * Whether the server's certificate is verified: true unless given. Without it nobody knows who
   * the peer is.
   */
  verify?: boolean;
}

const COMMON: Known<TlsCommonOptions> = {
  authorities: 1,
  alpnProtocols: 1,
  versionMin: 1,
  versionMax: 1,
  handshakeTimeoutMs: 1,
  keyLogFd: 1,
};
const IDENTITY: Known<TlsIdentity> = { certificate: 1, key: 1, password: 1, ocspResponse: 1 };
const SERVER: Known<TlsServerOptions> = {
  ...COMMON,
  ...IDENTITY,
  names: 1,
  clientCertificate: 1,
  chooseIdentity: 1,
};
const CLIENT: Known<TlsClientOptions> = {
  ...COMMON,
  certificate: 1,
  key: 1,
  password: 1,
  serverName: 1,
  verify: "boolean",
};

const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** The longest name of a protocol (RFC 7301 §3.1). */
const PROTOCOL_BYTES_MAX = 255;

/** The kind of a value that may be a secret: its text is in no message. */
function kind(value: unknown): string {
  return value === null || typeof value === "object" ? show(value) : `a ${typeof value}`;
}

function checkPem(name: string, value: unknown): void {
  if (typeof value === "string") {
    if (value.includes("-----BEGIN ")) return;
    throw new TypeError(
      `Cannot use ${name}: it is no text in PEM; give the file's content, not its path`,
    );
  }
  if (value instanceof Uint8Array && value.length > 0) return;
  throw new TypeError(`Cannot use ${kind(value)} as ${name}: it is a text or bytes in PEM`);
}

/** Throws unless it is a certificate with its key. */
export function readIdentity(of: string, identity: TlsIdentity): TlsIdentity {
  const read = readOptions(of, identity, IDENTITY);
  checkIdentity(of, read);
  return read;
}

function checkIdentity(
  of: string,
  { certificate, key, password, ocspResponse }: TlsIdentity,
): void {
  checkPem(`the certificate of ${of}`, certificate);
  checkPem(`the key of ${of}`, key);
  if (password !== undefined && typeof password !== "string") {
    throw new TypeError(`Cannot use ${kind(password)} as the password of ${of}: it is a string`);
  }
  if (ocspResponse !== undefined && !(ocspResponse instanceof Uint8Array)) {
    throw new TypeError(`Cannot use ${show(ocspResponse)} as ocspResponse of ${of}: it is bytes`);
  }
}

function checkVersion(name: string, version: unknown): void {
  if (version === undefined || version === "1.2" || version === "1.3") return;
  throw new TypeError(`Cannot set ${name} to ${show(version)}: it is "1.2" or "1.3"`);
}

function checkProtocols(protocols: unknown): void {
  if (protocols === undefined) return;
  if (!Array.isArray(protocols) || protocols.length === 0) {
    throw new TypeError(`Cannot use ${show(protocols)} as alpnProtocols: it is a list of names`);
  }
  for (const name of protocols) {
    const isName = typeof name === "string" && name.length > 0 && name.length <= PROTOCOL_BYTES_MAX;
    // deno-lint-ignore no-control-regex
    if (isName && /^[\x00-\x7f]*$/.test(name)) continue;
    throw new TypeError(
      `Cannot use ${show(name)} as one of alpnProtocols: it is 1 to 255 ASCII letters`,
    );
  }
}

function checkCommon(options: TlsCommonOptions): void {
  const { authorities, versionMin, versionMax, handshakeTimeoutMs, keyLogFd } = options;
  const isKnown = authorities === undefined || authorities === "system" ||
    authorities === "runtime";
  if (!isKnown) checkPem("authorities", authorities);
  checkVersion("versionMin", versionMin);
  checkVersion("versionMax", versionMax);
  if (versionMin === "1.3" && versionMax === "1.2") {
    throw new RangeError("Cannot set versionMax to 1.2: versionMin is 1.3");
  }
  checkProtocols(options.alpnProtocols);
  if (handshakeTimeoutMs !== undefined) {
    checkNumber("handshakeTimeoutMs", handshakeTimeoutMs, 0, TIMEOUT_MS_MAX);
  }
  if (keyLogFd !== undefined) checkNumber("keyLogFd", keyLogFd, 0, TIMEOUT_MS_MAX);
}

/** Passes a server's options on, each read once. */
export function readServerOptions(options: TlsServerOptions): TlsServerOptions {
  const read = readOptions("tls", options, SERVER);
  checkIdentity("tls", read);
  checkCommon(read);
  const { clientCertificate = "none", chooseIdentity } = read;
  if (!["none", "request", "require"].includes(clientCertificate)) {
    throw new TypeError(
      `Cannot set clientCertificate to ${
        show(clientCertificate)
      }: it is "none", "request" or "require"`,
    );
  }
  if (clientCertificate !== "none" && read.authorities === undefined) {
    throw new TypeError(
      "Cannot verify clients without authorities: give those that sign their certificates",
    );
  }
  if (chooseIdentity !== undefined) checkFunction("chooseIdentity", chooseIdentity);
  if (read.names !== undefined) {
    checkObject("tls.names", read.names);
    const names = Object.entries(read.names).map(([name, identity]) => {
      if (!/^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i.test(name)) {
        throw new TypeError(
          `Cannot use ${
            show(name)
          } as a server name: it is like "a.example.org" or "*.example.org"`,
        );
      }
      return [name, readIdentity(`tls.names ${show(name)}`, identity)] as const;
    });
    read.names = Object.fromEntries(names);
  }
  return read;
}

/** Passes a client's options on, each read once. */
export function readClientOptions(options: TlsClientOptions | true): TlsClientOptions {
  const read: TlsClientOptions = options === true ? {} : readOptions("tls", options, CLIENT);
  checkCommon(read);
  const { certificate, key, serverName } = read;
  if (certificate !== undefined || key !== undefined) {
    checkIdentity("tls", { certificate, key, password: read.password } as TlsIdentity);
  }
  if (serverName !== undefined) read.serverName = hostOf(serverName);
  return read;
}

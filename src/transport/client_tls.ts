/**
 * TLS of clients: contexts that many connections share, and the names that servers must have.
 */
import { isIP } from "node:net";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { type Network, parseHostPort, rawFromNumeric } from "../net/address.ts";
import { clientContext, type Context, onceFor } from "../tls/context.ts";
import { hostOf } from "../tls/host.ts";
import { readClientOptions, type TlsClientOptions } from "../tls/options.ts";

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);
/** Where the bytes of an address begin in a raw one, in words. */
const RAW_BYTES_AT = 4;

/** The options of a client, made ready for its connections. */
export class ClientTls {
  readonly #options: TlsClientOptions;
  readonly #context: Context;

  /**
   * Makes a user's options ready.
   *
   * @throws {TlsError} A certificate, a key or an authority is malformed.
   * @throws {LoadError} OpenSSL is not there.
   */
  constructor(options: TlsClientOptions | true) {
    this.#options = readClientOptions(options);
    this.#context = clientContext(this.#options);
  }

  /** Lets nobody begin with it any more. */
  close(): void {
    this.#context.close();
  }

  /** The name, or the IP address, that was given for the server. */
  get serverName(): string | undefined {
    return this.#options.serverName;
  }

  /** Whether the server's certificate is verified. */
  get isVerified(): boolean {
    return this.#options.verify ?? true;
  }

  /**
   * The name, or the IP address, that a server at this address must have.
   *
   * @throws {TypeError} It is not known.
   */
  nameOf(network: Network, address: string): string {
    const { serverName } = this;
    if (serverName !== undefined) return serverName;
    if (network !== "unix") return hostOf(parseHostPort(address).hostname || "localhost");
    if (!this.isVerified) return "";
    throw new TypeError(
      "Cannot dial a Unix socket with TLS: tls.serverName must say who the server is",
    );
  }

  /**
   * Begins TLS on a descriptor. `at` tells servers apart whose sessions are kept.
   *
   * @throws {SystemError} There is no memory.
   */
  begin(fd: number, name: string, at: string): void {
    const isAddress = isIP(name) !== 0;
    const host = encoder.encode(isAddress ? "\0" : `${name}\0`);
    const ip = isAddress && this.isVerified ? addressBytes(name) : NOTHING;
    const server = encoder.encode(`${name} ${at}\0`);
    check("begin TLS", native.tlsBegin(fd, this.#context.id, host, ip, ip.length, server));
  }
}

/** The 4 or 16 bytes of an IP address. */
function addressBytes(address: string): Uint8Array {
  const raw = rawFromNumeric(address, 0);
  return new Uint8Array(raw.buffer, RAW_BYTES_AT * 4, raw[3]!).slice();
}

/** Of the option `true`. */
let plain: ClientTls | null = null;
const ofOptions = onceFor((options: TlsClientOptions) => new ClientTls(options));

/** The TLS of these options. */
export function clientTlsOf(options: TlsClientOptions | true): ClientTls {
  return options === true ? plain ??= new ClientTls(true) : ofOptions(options);
}

/**
 * Records of TLS 1.3 as the peer would make them, by whoever has its secrets: what no honest
 * implementation sends, encrypted as the victim expects it.
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createHmac } from "node:crypto";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { native } from "../../ffi/load.ts";
import type { Connection, TlsClientOptions } from "../../mod.ts";
import { check } from "../../src/core/check.ts";
import { clientTlsOf } from "../../src/transport/client_tls.ts";
import { authority } from "./pki.ts";
import type { Secure } from "./secure.ts";

/** The kinds of records (RFC 8446 §5.1). */
export const Kind = { CHANGE: 20, ALERT: 21, HANDSHAKE: 22, DATA: 23 } as const;
/** A server has sent two tickets when the handshake is over (SSL_CTX_set_num_tickets(3)). */
const TICKETS = 2;

/** One block of HKDF-Expand-Label (RFC 8446 §7.1): all lengths here fit into it. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.from([0, length, name.length, ...name, 0, 1]);
  return createHmac("sha384", secret).update(info).digest().subarray(0, length);
}

/** One side's records, numbered as they are sent. Of TLS_AES_256_GCM_SHA384. */
export class Forger {
  readonly #fd: number;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  #number: bigint;

  constructor(fd: number, secret: Buffer, number: number) {
    this.#fd = fd;
    this.#key = expand(secret, "key", 32);
    this.#iv = expand(secret, "iv", 12);
    this.#number = BigInt(number);
  }

  /** A record, with zeros behind its content. */
  record(kind: number, content: Uint8Array | readonly number[], zeros = 0): Buffer {
    const plain = Buffer.concat([Buffer.from(content), Buffer.from([kind]), Buffer.alloc(zeros)]);
    const header = Buffer.from([23, 3, 3, (plain.length + 16) >> 8, (plain.length + 16) & 255]);
    const nonce = Buffer.from(this.#iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.#number++, 4);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(header);
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** Sends bytes as they are. */
  send(...parts: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(parts);
    const sent = native.sendBorrowed(this.#fd, bytes, bytes.length, 0, bytes.length, 0);
    if (check("send", sent) !== bytes.length) throw new Error(`the kernel took ${sent} bytes`);
  }
}

/** A client of a server, and who forges its records and the server's. */
export interface Forged {
  readonly client: Connection;
  /** Sends to the server in the client's name. */
  readonly asClient: Forger;
  /** Sends to the client in the server's name, on a descriptor of the server's. */
  asServer(fd: number): Forger;
}

/** The file of secrets, and the options of a client that writes there: one context, since it keeps the file open. */
let log: { path: string; options: TlsClientOptions } | null = null;

/** Opens what is kept open: before descriptors are counted. */
export function prepareForging(): { path: string; options: TlsClientOptions } {
  if (log !== null) return log;
  const path = `${tmpdir()}/netpoll-secrets-${process.pid}`;
  const keyLogFd = openSync(path, "w", 0o600);
  const options = { authorities: authority().certificate, keyLogFd };
  clientTlsOf(options);
  closeSync(keyLogFd);
  process.on("exit", () => rmSync(path, { force: true }));
  return log = { path, options };
}

/** Dials a server, and gets hold of the secrets. */
export async function forge(secure: Secure): Promise<Forged> {
  const { path, options } = prepareForging();
  const { length } = readFileSync(path);
  const client = await secure.dial(options);
  const lines = readFileSync(path, "utf8").slice(length);
  const secretOf = (name: string) =>
    Buffer.from(new RegExp(`^${name}_TRAFFIC_SECRET_0 \\S+ (\\S+)$`, "m").exec(lines)![1]!, "hex");
  return {
    client,
    asClient: new Forger(client.fd, secretOf("CLIENT"), 0),
    asServer: (fd) => new Forger(fd, secretOf("SERVER"), TICKETS),
  };
}

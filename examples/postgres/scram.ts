/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), as PostgreSQL speaks it: both sides prove that they know the
 * password, and neither tells it.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";
import type { Buffer } from "node:buffer";

/** No channel binding: "n,," in base64. */
const CHANNEL = "c=biws";
/** A server that asks for more only wants to keep its clients busy. */
const ROUNDS_MAX = 1_000_000;

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** The client's side of one log-in. */
export class Scram {
  readonly #password: string;
  readonly #nonce = randomBytes(18).toString("base64");
  /** The signature that the server has to show. */
  #signature: Buffer | null = null;

  constructor(password: string) {
    this.#password = password;
  }

  /** The first message; PostgreSQL knows the user already. */
  first(): string {
    return `n,,n=,r=${this.#nonce}`;
  }

  /** The answer to the server's challenge. */
  answer(challenge: string): string {
    const [, nonce, salt, rounds] = /^r=([^,]*),s=([^,]*),i=(\d+)/.exec(challenge) ?? [];
    if (!nonce?.startsWith(this.#nonce) || Number(rounds) > ROUNDS_MAX) {
      throw new Error("The server's challenge is none");
    }
    const bytes = Uint8Array.from(atob(salt!), (letter) => letter.charCodeAt(0));
    const salted = pbkdf2Sync(this.#password, bytes, Number(rounds), 32, "sha256");
    const final = `${CHANNEL},r=${nonce}`;
    const all = `n=,r=${this.#nonce},${challenge},${final}`;
    const key = hmac(salted, "Client Key");
    const mask = hmac(createHash("sha256").update(key).digest(), all);
    this.#signature = hmac(hmac(salted, "Server Key"), all);
    for (let i = 0; i < key.length; i++) key[i]! ^= mask[i]!;
    return `${final},p=${key.toString("base64")}`;
  }

  /** Throws unless the server knows the password, too. */
  verify(last: string): void {
    const shown = /^v=([^,]*)/.exec(last)?.[1] ?? "";
    const bytes = Uint8Array.from(atob(shown), (letter) => letter.charCodeAt(0));
    const own = this.#signature;
    if (own === null || bytes.length !== own.length || !timingSafeEqual(bytes, own)) {
      throw new Error("The server does not know the password");
    }
  }
}

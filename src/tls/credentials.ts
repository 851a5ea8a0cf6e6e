/**
 * The credentials of a listener: what its clients are shown, and may be exchanged while it serves.
 */
import { type Context, identityContext, serverContext } from "./context.ts";
import {
  readIdentity,
  readServerOptions,
  type TlsIdentity,
  type TlsServerOptions,
} from "./options.ts";

/** The credentials of one listener. */
export class Credentials {
  #options: TlsServerOptions;
  readonly #context: Context;
  /** The contexts of certificates that the program has chosen. */
  #chosen = new Map<TlsIdentity, Context>();

  /**
   * Makes a user's options ready.
   *
   * @throws {TlsError} A certificate or a key is malformed, or one does not fit the other.
   * @throws {LoadError} OpenSSL is not there.
   */
  constructor(options: TlsServerOptions) {
    this.#options = readServerOptions(options);
    this.#context = serverContext(this.#options);
  }

  /** The number of the context that handshakes begin with. */
  get id(): number {
    return this.#context.id;
  }

  /** The options that hold now. */
  get options(): TlsServerOptions {
    return this.#options;
  }

  /** Shows clients something else from now on. Connections that are there go on. */
  reload(options: TlsServerOptions): void {
    const read = readServerOptions(options);
    serverContext(read).replace(this.#context);
    this.#options = read;
    this.#forget();
  }

  /** The context that the program chooses for a client, or -1. */
  async choose(serverName: string | null): Promise<number> {
    const options = this.#options;
    const identity = await options.chooseIdentity!(serverName);
    if (identity === null) return -1;
    const known = this.#chosen.get(identity);
    if (known !== undefined) return known.id;
    const context = identityContext(options, readIdentity("chooseIdentity", identity));
    if (options !== this.#options) this.#forget();
    this.#chosen.set(identity, context);
    return context.id;
  }

  #forget(): void {
    for (const context of this.#chosen.values()) context.close();
    this.#chosen = new Map();
  }

  /** Nobody begins with it any more. */
  close(): void {
    this.#forget();
    this.#context.close();
  }
}

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

/** Certificates chosen by the program that are kept ready: those that were chosen last. */
const CHOSEN_MAX = 512;

/** The contexts of certificates that the program has chosen, all with the same options. */
class Chosen {
  readonly #options: TlsServerOptions;
  readonly #contexts = new Map<TlsIdentity, Context>();

  constructor(options: TlsServerOptions) {
    this.#options = options;
  }

  /** The number of a certificate's context, made the first time. */
  of(identity: TlsIdentity): number {
    const known = this.#contexts.get(identity);
    const context = known ??
      identityContext(this.#options, readIdentity("chooseIdentity", identity));
    // The order of a Map is that of its entries' making: the first one is the longest unused.
    this.#contexts.delete(identity);
    this.#contexts.set(identity, context);
    if (this.#contexts.size > CHOSEN_MAX) {
      const [oldest, unused] = this.#contexts.entries().next().value!;
      this.#contexts.delete(oldest);
      unused.close();
    }
    return context.id;
  }

  close(): void {
    for (const context of this.#contexts.values()) context.close();
    this.#contexts.clear();
  }
}

/** The credentials of one listener. */
export class Credentials {
  #options: TlsServerOptions;
  readonly #context: Context;
  #chosen: Chosen;
  #isClosed = false;
  #mayAsk = true;

  /**
   * Makes a user's options ready.
   *
   * @throws {TlsError} A certificate or a key is malformed, or one does not fit the other.
   * @throws {LoadError} OpenSSL is not there.
   */
  constructor(options: TlsServerOptions) {
    this.#options = readServerOptions(options);
    this.#context = serverContext(this.#options);
    this.#chosen = new Chosen(this.#options);
  }

  /**
   * Lets no program choose: nobody could call it.
   *
   * @throws {TypeError} The options have a `chooseIdentity`, now or when they are reloaded.
   */
  askNobody(): void {
    this.#mayAsk = false;
    this.#checkAsked(this.#options);
  }

  #checkAsked({ chooseIdentity }: TlsServerOptions): void {
    if (this.#mayAsk || chooseIdentity === undefined) return;
    throw new TypeError(
      "Cannot serve with chooseIdentity in a Cluster: Workers cannot call it; give tls.names, and " +
        "listener.reloadTls(options) whenever they change",
    );
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
    this.#checkAsked(read);
    serverContext(read).replace(this.#context);
    this.#options = read;
    this.#chosen.close();
    this.#chosen = new Chosen(read);
  }

  /** The context that the program chooses for a client, or -1. */
  async choose(serverName: string | null): Promise<number> {
    for (;;) {
      const options = this.#options;
      const identity = await options.chooseIdentity?.(serverName) ?? null;
      if (identity === null || this.#isClosed) return -1;
      // A choice for options that hold no longer must not be shown.
      if (options === this.#options) return this.#chosen.of(identity);
    }
  }

  /** Nobody begins with it any more. */
  close(): void {
    this.#isClosed = true;
    this.#chosen.close();
    this.#context.close();
  }
}

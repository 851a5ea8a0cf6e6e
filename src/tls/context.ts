/**
 * Contexts: certificates, authorities and settings, made ready once for many connections.
 */
import process from "node:process";
import { native } from "../../ffi/load.ts";
import { ERRNO } from "../core/errno.ts";
import { LoadError, SystemError, TlsError } from "../core/errors.ts";
import type {
  Pem,
  TlsClientOptions,
  TlsCommonOptions,
  TlsIdentity,
  TlsServerOptions,
  TlsVersion,
} from "./options.ts";
import { failureOf } from "./failure.ts";

/** The kinds of bytes of a context: `enum tls_use` of libnetpoll.c. */
const Use = { CHAIN: 0, KEY: 1, AUTHORITIES: 2, PROTOCOLS: 3, STATUS: 4 } as const;
/** The settings of a context: `enum tls_setting` of libnetpoll.c. */
const Setting = { VERIFY: 0, DISTRIBUTION: 1, KEY_LOG: 2, ASKS: 3, TIMEOUT: 4 } as const;
/** Whether the peer shows a certificate. */
const Verify = { none: 0, request: 1, require: 2 } as const;

const VERSIONS: Readonly<Record<TlsVersion, number>> = { "1.2": 0x0303, "1.3": 0x0304 };
const NOTHING = new Uint8Array(0);
/** A text with its 0 alone. */
const NO_TEXT = new Uint8Array(1);
const encoder = new TextEncoder();

/** Throws where OpenSSL cannot be used. */
function load(): void {
  const code = native.tlsLoad();
  if (code === 0) return;
  throw new LoadError(
    "library",
    code === -ERRNO.ENOENT
      ? "TLS needs OpenSSL 3, and libssl.so.3 is not there; install the package libssl3 (Debian) or openssl (Alpine)"
      : "TLS needs OpenSSL 3.0 or newer, and libssl.so.3 lacks a part of it",
  );
}

function bytesOfPem(pem: Pem): Uint8Array {
  return typeof pem === "string" ? encoder.encode(pem) : pem;
}

/** The authorities that the runtime brings. Its module takes long to load: few programs need it. */
function runtimeAuthorities(): string {
  return process.getBuiltinModule("node:tls").rootCertificates.join("\n");
}

/** A context of either side. It is closed with whatever it was made for. */
export class Context {
  /** Its number. */
  readonly id: number;
  #isClosed = false;

  /** One that has settings, and no certificate yet. */
  constructor(isServer: boolean, options: TlsCommonOptions, verify: number) {
    load();
    const { versionMin = "1.2", versionMax = "1.3", handshakeTimeoutMs = 10_000 } = options;
    const id = native.tlsContext(isServer ? 1 : 0, VERSIONS[versionMin], VERSIONS[versionMax]);
    if (id < 0) throw new SystemError("make a TLS context", -id);
    this.id = id;
    try {
      this.#set("a verification", Setting.VERIFY, verify);
      this.#set("handshakeTimeoutMs", Setting.TIMEOUT, handshakeTimeoutMs);
      this.#common(options);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #common({ authorities, alpnProtocols, keyLogFd }: TlsCommonOptions): void {
    if (authorities === "system") this.#set("authorities", Setting.DISTRIBUTION, 0);
    else if (authorities !== undefined) {
      const pem = authorities === "runtime" ? runtimeAuthorities() : authorities;
      const count = this.#use("authorities", Use.AUTHORITIES, bytesOfPem(pem));
      if (count === 0) {
        throw new TlsError("certificate", "Cannot use authorities: no certificate is in them");
      }
    }
    if (alpnProtocols !== undefined) {
      const bytes = alpnProtocols.flatMap((name) => [name.length, ...encoder.encode(name)]);
      this.#use("alpnProtocols", Use.PROTOCOLS, new Uint8Array(bytes));
    }
    if (keyLogFd !== undefined) this.#set("keyLogFd", Setting.KEY_LOG, keyLogFd);
  }

  /** Gives it a certificate. */
  identify({ certificate, key, password = "", ocspResponse }: TlsIdentity): void {
    this.#use("a certificate", Use.CHAIN, bytesOfPem(certificate));
    this.#use("a key", Use.KEY, bytesOfPem(key), encoder.encode(password));
    if (ocspResponse !== undefined) this.#use("an OCSP response", Use.STATUS, ocspResponse);
  }

  /** Lets the program choose for each client. */
  ask(): void {
    this.#set("a choice", Setting.ASKS, 1);
  }

  /** Takes the place of another one, which is closed: whoever has its number gets this one. */
  replace(other: Context): void {
    native.tlsSwap(this.id, other.id);
    this.close();
  }

  /** Shows another one's certificate to clients that ask for that name. */
  name(name: string, other: Context): void {
    const code = native.tlsName(this.id, encoder.encode(`${name}\0`), other.id);
    if (code < 0) throw new SystemError("name a certificate", -code, name);
  }

  #use(what: string, kind: number, bytes: Uint8Array, more = NOTHING): number {
    const code = native.tlsUse(this.id, kind, bytes, bytes.length, more, more.length);
    if (code >= 0) return code;
    if (code === -ERRNO.EINVAL) throw failureOf(-1, `use ${what}`);
    throw new SystemError(`use ${what}`, -code);
  }

  #set(what: string, setting: number, value: number): void {
    const code = native.tlsSet(this.id, setting, value);
    if (code < 0) throw new SystemError(`set ${what}`, -code);
  }

  /** Lets nobody begin with it any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    native.tlsContextFree(this.id);
  }
}

/** A context with one certificate and all settings of a server: what a client negotiates is there. */
export function identityContext(options: TlsServerOptions, identity: TlsIdentity): Context {
  const context = new Context(true, options, Verify[options.clientCertificate ?? "none"]);
  try {
    context.identify(identity);
    return context;
  } catch (error) {
    context.close();
    throw error;
  }
}

/** The context of a server. */
export function serverContext(options: TlsServerOptions): Context {
  const context = identityContext(options, options);
  try {
    for (const [name, identity] of Object.entries(options.names ?? {})) {
      const named = identityContext(options, identity);
      try {
        context.name(name, named);
      } finally {
        named.close();
      }
    }
    if (options.chooseIdentity !== undefined) context.ask();
    return context;
  } catch (error) {
    context.close();
    throw error;
  }
}

/** The context of a client. */
export function clientContext(options: TlsClientOptions): Context {
  const { verify = true, certificate, key, password } = options;
  const authorities = options.authorities ?? (verify ? "system" : undefined);
  const given = authorities === undefined ? options : { ...options, authorities };
  const context = new Context(false, given, verify ? Verify.request : Verify.none);
  try {
    if (certificate !== undefined) {
      context.identify({ certificate, key: key!, ...(password === undefined ? {} : { password }) });
    }
    return context;
  } catch (error) {
    context.close();
    throw error;
  }
}

/** Something that holds a context. */
interface Holder {
  /** Lets nobody begin with it any more. */
  close(): void;
}

/**
 * A function that makes something of a user's options, once for each object, since that takes a
 * while. It is closed when the user has dropped the options.
 */
export function onceFor<Options extends object, Made extends Holder>(
  make: (options: Options) => Made,
): (options: Options) => Made {
  const made = new WeakMap<Options, Made>();
  const abandoned = new FinalizationRegistry<Made>((one) => one.close());
  return (options) => {
    const known = made.get(options);
    if (known !== undefined) return known;
    const one = make(options);
    made.set(options, one);
    abandoned.register(options, one);
    return one;
  };
}

/** Begins TLS as a server on a descriptor, with the context of that number: 0, or `-errno`. */
export function beginServer(fd: number, context: number): number {
  return native.tlsBegin(fd, context, NO_TEXT, NOTHING, 0, NO_TEXT);
}

/**
 * Names of hosts, as TLS compares them.
 */
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { show } from "../core/options.ts";

/** The longest name of a host, and the longest label in one (RFC 1035 §2.3.4). */
const HOST = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/** Letters of other languages. */
// deno-lint-ignore no-control-regex
const OTHER = /[^\x00-\x7f]/;
/** Letters that are in no name, in their own form and in the wide ones that stand for them. */
const UNFIT =
  /[^a-z0-9_.\-\x80-\uffff]|[\uff00-\uff0c\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff60]/i;

/** Without the dot that may end a name: it belongs to DNS, not to the name (RFC 6066 §3). */
function withoutRoot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/**
 * The name that a server must have: an IP address as it is, a host name in small letters, those of
 * other languages as DNS has them.
 *
 * @throws {TypeError} It is neither. OpenSSL would verify no name at all for an empty one, and any
 * name below for one that begins with a dot.
 */
export function hostOf(name: unknown): string {
  if (typeof name === "string") {
    const plain = withoutRoot(name);
    if (isIP(plain) !== 0) return plain;
    // Bun's function reads a URL's host: it leaves out all behind a slash or a colon.
    const ascii = OTHER.test(plain) && !UNFIT.test(plain) ? domainToASCII(plain) : plain;
    if (HOST.test(ascii.toLowerCase())) return ascii.toLowerCase();
  }
  throw new TypeError(
    `Cannot use ${
      show(name)
    } as serverName: it is a host name like "db.example.org", or an IP address`,
  );
}

/** The name that a client asks for, in small letters; null for none, and for what is no host name. */
export function askedHost(name: string): string | null {
  const plain = withoutRoot(name).toLowerCase();
  return HOST.test(plain) ? plain : null;
}

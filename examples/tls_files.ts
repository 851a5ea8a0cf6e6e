/**
 * TLS of the examples, from the files that their arguments name: a key, a certificate, and, where
 * clients must show one too, the authorities that have signed theirs.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { TlsServerOptions } from "../mod.ts";

/** The options of a server's TLS; undefined without a key. All files are in PEM. */
export function tlsOf(
  [key, certificate, authorities]: readonly (string | undefined)[],
): TlsServerOptions | undefined {
  if (key === undefined) return undefined;
  if (certificate === undefined) throw new TypeError("Cannot use a key without its certificate");
  const identity = {
    key: readFileSync(key, "utf8"),
    certificate: readFileSync(certificate, "utf8"),
  };
  if (authorities === undefined) return identity;
  return {
    ...identity,
    authorities: readFileSync(authorities, "utf8"),
    clientCertificate: "require",
  };
}

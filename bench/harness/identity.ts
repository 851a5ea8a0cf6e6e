/**
 * The identity of servers over TLS in a bench.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The files of an identity, in a directory that is the caller's to remove. */
export interface Identity {
  readonly directory: string;
  /** The path of the key. */
  readonly key: string;
  /** The path of the certificate, which is its own authority. */
  readonly certificate: string;
}

/** Makes a key (P-256) and a certificate for localhost, by openssl(1). */
export function makeIdentity(name: string): Identity {
  const directory = mkdtempSync(join(tmpdir(), `netpoll-${name}-`));
  const [key, certificate] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"],
    ...["-keyout", key, "-out", certificate],
  ], { stdio: "ignore" });
  return { directory, key, certificate };
}

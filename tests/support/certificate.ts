/**
 * A key and a certificate for localhost, made by openssl.
 */
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";

/** The reason why no certificate can be made here, or false. */
export const NO_OPENSSL: string | false = spawnSync("openssl", ["version"]).status === 0
  ? false
  : "openssl makes the certificate, and is not here";

/** Makes a key and a certificate in a directory. Their paths. */
export function certificateIn(directory: string): [key: string, certificate: string] {
  const [key, certificate] = [`${directory}/key.pem`, `${directory}/cert.pem`] as const;
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
  ]);
  assertEquals(made.status, 0, `${made.stderr}`);
  return [key, certificate];
}

/**
 * Authorities, certificates and keys, made by openssl once for each file of tests.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import type { TlsIdentity } from "../../mod.ts";
import { NO_OPENSSL } from "./certificate.ts";

/** The reason why TLS cannot be tested here, or false. */
export const NO_TLS: string | false = NO_OPENSSL ||
  (native.tlsLoad() === 0 ? false : "libssl.so.3 is not here");

/** A test of TLS; skipped, and said so, where it cannot be. */
export function tlsTest(name: string, run: () => void | Promise<void>): void {
  test(name, { skip: NO_TLS }, async () => await run());
}

/** A certificate, its key, and where both lie. */
export interface Made extends TlsIdentity {
  readonly certificate: string;
  readonly key: string;
  /** The file of the certificate. */
  readonly certificateFile: string;
  /** The file of the key. */
  readonly keyFile: string;
}

/** The wishes for a certificate. */
export interface Wishes {
  /** Its names, as openssl writes them: "DNS:localhost,IP:127.0.0.1". None of an authority, and for "". */
  names?: string;
  /** The days that it is good for; below 0 it has expired. */
  days?: number;
  /** The first and the last moment at which it is good, as openssl writes them, in place of `days`. */
  dates?: readonly [string, string];
  /** Lines of more extensions, as openssl writes them. */
  extensions?: readonly string[];
  /** The digest that is signed: "sha256" unless given. */
  digest?: string;
  /** The signer: the authority of these tests unless given, "itself", or another one. */
  by?: Made | "itself";
  /** True when it is an authority. */
  isAuthority?: boolean;
  /** The length of its key in bits, of RSA; an elliptic curve's unless given. */
  rsaBits?: number;
}

let folder: string | null = null;
const made = new Map<string, Made>();

function run(args: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { cwd: folder!, encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}

function open(): string {
  if (folder !== null) return folder;
  folder = mkdtempSync(`${tmpdir()}/netpoll-pki-`);
  process.on("exit", () => rmSync(folder!, { recursive: true, force: true }));
  return folder;
}

function keyOptions({ rsaBits }: Wishes): string[] {
  if (rsaBits !== undefined) return ["-newkey", `rsa:${rsaBits}`];
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
}

const EXPIRED = ["20200101000000Z", "20210101000000Z"] as const;

/** The signature. */
function sign(name: string, wishes: Wishes): void {
  const { days = 30, by = authority(), digest = "sha256" } = wishes;
  const dates = wishes.dates ?? (days < 0 ? EXPIRED : undefined);
  const files = ["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.pem`];
  if (dates === undefined) {
    const from = by === "itself"
      ? ["-signkey", `${name}.key`]
      : ["-CA", by.certificateFile, "-CAkey", by.keyFile, "-CAcreateserial"];
    return run(["x509", "-req", ...files, ...from, "-days", `${days}`, `-${digest}`]);
  }
  // openssl x509 sets no dates before 3.4: the authority's own program does.
  writeFileSync(`${folder}/ca.cnf`, CONFIGURATION);
  writeFileSync(`${folder}/index.txt`, "");
  writeFileSync(`${folder}/serial`, "01\n");
  const { certificateFile, keyFile } = by as Made;
  const from = ["-cert", certificateFile, "-keyfile", keyFile, "-md", digest];
  const when = ["-startdate", dates[0], "-enddate", dates[1]];
  run(["ca", "-batch", "-notext", "-config", "ca.cnf", ...from, ...files, ...when]);
}

const CONFIGURATION = `[ca]
default_ca = tests
[tests]
new_certs_dir = .
database = index.txt
serial = serial
policy = any
[any]
commonName = supplied
`;

function extensionsOf({ names, isAuthority = false, extensions = [] }: Wishes): string[] {
  const given = names ?? (isAuthority ? "" : "DNS:localhost,IP:127.0.0.1");
  return [
    ...(given === "" ? [] : [`subjectAltName=${given}`]),
    ...(isAuthority && !extensions.some((line) => line.startsWith("basicConstraints"))
      ? ["basicConstraints=critical,CA:TRUE"]
      : []),
    ...extensions,
  ];
}

/** A certificate of that name, made the first time. */
export function identity(name: string, wishes: Wishes = {}): Made {
  const known = made.get(name);
  if (known !== undefined) return known;
  const at = open();
  writeFileSync(`${at}/${name}.ext`, `${extensionsOf(wishes).join("\n")}\n`);
  const request = ["req", ...keyOptions(wishes), "-nodes", "-subj", `/CN=${name}`];
  run([...request, "-keyout", `${name}.key`, "-out", `${name}.csr`]);
  sign(name, wishes.isAuthority ? { ...wishes, by: wishes.by ?? "itself" } : wishes);
  const [certificateFile, keyFile] = [`${at}/${name}.pem`, `${at}/${name}.key`];
  const one = {
    certificate: readFileSync(certificateFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
    certificateFile,
    keyFile,
  };
  made.set(name, one);
  return one;
}

/** The authority of these tests. */
export function authority(): Made {
  return identity("authority", { isAuthority: true });
}

/** The certificate of a server at localhost and 127.0.0.1. */
export function serverIdentity(): Pick<Made, "certificate" | "key"> {
  const { certificate, key } = identity("server");
  return { certificate, key };
}

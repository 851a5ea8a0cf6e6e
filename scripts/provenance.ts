/**
 * Prints from what and by what a directory of artefacts was made: a statement of in-toto with the
 * provenance of SLSA 1.0 (in-toto.io/Statement/v1, slsa.dev/provenance/v1).
 *
 * Its arguments are the repository and the directory. With NETPOLL_SIGNING_KEY, the path of an
 * Ed25519 key in PEM, it prints the statement in a signed envelope (DSSE). NETPOLL_BUILDER is the URI
 * of the machine that builds.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const BUILD_TYPE = "urn:netpoll:make-dist:v1";
const BUILDER = "urn:netpoll:somebody";

/** A file that was made. */
export interface Subject {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

/** The statement. */
export interface Statement {
  readonly _type: "https://in-toto.io/Statement/v1";
  readonly subject: readonly Subject[];
  readonly predicateType: "https://slsa.dev/provenance/v1";
  readonly predicate: unknown;
}

/** A statement with its signature. */
export interface Envelope {
  readonly payloadType: string;
  /** The statement, in base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The files of a directory, but for provenance itself. */
export function subjectsOf(directory: string): Subject[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.provenance\.json$/.test(entry.name))
    .map(({ name }) => ({ name, digest: { sha256: sha256(readFileSync(`${directory}/${name}`)) } }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

function output(command: string, args: readonly string[], cwd: string): string | null {
  const { status, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

/** The sources: the commit, where git knows one and nothing was changed since. */
function sourcesOf(repository: string): object[] {
  const lock = sha256(readFileSync(`${repository}/package-lock.json`));
  const tools = { name: "package-lock.json", digest: { sha256: lock } };
  const commit = output("git", ["rev-parse", "HEAD"], repository);
  if (commit === null) return [tools];
  const isClean = output("git", ["status", "--porcelain"], repository) === "";
  const source = { name: "source", digest: { gitCommit: commit }, annotations: { isClean } };
  return [source, tools];
}

/** The statement for the artefacts in a directory. */
export function statementFor(repository: string, directory: string, builder = BUILDER): Statement {
  const { version } = JSON.parse(readFileSync(`${repository}/deno.json`, "utf8"));
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: subjectsOf(directory),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { command: "make dist", version },
        internalParameters: { architecture: process.arch, system: process.platform },
        resolvedDependencies: sourcesOf(repository),
      },
      runDetails: { builder: { id: builder } },
    },
  };
}

/** The bytes that are signed: the type and the payload, each with its length (DSSE, "PAE"). */
function signedBytes(payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function keyId(pem: string): string {
  return sha256(createPublicKey(pem).export({ type: "spki", format: "der" }));
}

/** Signs a statement with a private key in PEM. */
export function signed(statement: Statement, pem: string): Envelope {
  const payload = Buffer.from(JSON.stringify(statement));
  const sig = sign(null, signedBytes(payload), createPrivateKey(pem)).toString("base64");
  const signatures = [{ keyid: keyId(pem), sig }];
  return { payloadType: PAYLOAD_TYPE, payload: payload.toString("base64"), signatures };
}

/**
 * The statement of an envelope.
 *
 * @throws {Error} It was not signed with the key, or was changed since.
 */
export function opened(envelope: Envelope, publicPem: string): Statement {
  const payload = Buffer.from(envelope.payload, "base64");
  const key = createPublicKey(publicPem);
  const isSigned = envelope.payloadType === PAYLOAD_TYPE &&
    envelope.signatures.some(({ sig }) =>
      verify(null, signedBytes(payload), key, Buffer.from(sig, "base64"))
    );
  if (!isSigned) throw new Error("Cannot trust the provenance: it is not signed with this key");
  return JSON.parse(payload.toString("utf8")) as Statement;
}

/**
 * Makes sure that a statement names the files of a directory, all of them and no others.
 *
 * @throws {Error} A file is missing, is not named, or has other bytes.
 */
export function checkSubjects(statement: Statement, directory: string): void {
  const [named, found] = [statement.subject, subjectsOf(directory)].map((subjects) =>
    new Map(subjects.map(({ name, digest }) => [name, digest.sha256]))
  ) as [Map<string, string>, Map<string, string>];
  for (const name of new Set([...named.keys(), ...found.keys()])) {
    if (named.get(name) === found.get(name)) continue;
    throw new Error(
      `Cannot trust ${name}: its digest is ${found.get(name)}, and the provenance says ${
        named.get(name)
      }`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [repository, directory] = process.argv.slice(2) as [string, string];
  const statement = statementFor(repository, directory, process.env["NETPOLL_BUILDER"]);
  const keyPath = process.env["NETPOLL_SIGNING_KEY"];
  const printed = keyPath === undefined
    ? statement
    : signed(statement, readFileSync(keyPath, "utf8"));
  console.log(JSON.stringify(printed, null, 2));
}

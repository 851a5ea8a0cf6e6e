/**
 * Prints the bill of materials of a directory of artefacts, as CycloneDX 1.6: the parts of each, and
 * the tools that made it. netpoll has no dependency at run time but the runtime.
 *
 * Its arguments are the repository and the directory.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

const [repository, directory] = process.argv.slice(2);
const { name, version, license } = JSON.parse(readFileSync(`${repository}/deno.json`, "utf8"));

function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function hashes(path: string): { alg: "SHA-256"; content: string }[] {
  return [{ alg: "SHA-256", content: sha256(readFileSync(path)) }];
}

/** A tool that built it; none when the tool is not installed. */
function tool(name: string, command: string, option = "--version"): object[] {
  const { stdout } = spawnSync(command, [option], { encoding: "utf8" });
  const found = /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0];
  return found === undefined ? [] : [{ type: "application", name, version: found }];
}

const bin = `${repository}/node_modules/.bin`;
const licenses = [{ license: { id: license } }];
const files = readdirSync(directory!, { withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.cdx\.json$|^SHA256SUMS$/.test(entry.name))
  .map((entry) => entry.name).sort();
const bun = execFileSync(`${bin}/bun`, ["--version"], { encoding: "utf8" }).trim();
const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;

const bill = {
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  // The number depends on the content, not on chance: the same artefacts have the same bill.
  serialNumber: "",
  version: 1,
  metadata: {
    tools: {
      components: [
        ...tool("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc", "-dumpfullversion"),
        ...tool("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc", "-dumpfullversion"),
        ...["deno", "bun", "esbuild"].flatMap((name) => tool(name, `${bin}/${name}`)),
      ],
    },
    component: { type: "library", "bom-ref": purl, name, version, purl, licenses },
  },
  components: [
    ...files.map((file) => ({
      type: "file",
      "bom-ref": file,
      name: file,
      version,
      licenses,
      hashes: hashes(`${directory}/${file}`),
    })),
    // The compiled program holds the runtime.
    { type: "platform", "bom-ref": "bun", name: "bun", version: bun, purl: `pkg:npm/bun@${bun}` },
  ],
  dependencies: [
    { ref: purl },
    ...files.map((file) => ({
      ref: file,
      dependsOn: /^echo_server-/.test(file) ? [purl, "bun"] : [purl],
    })),
    { ref: "bun" },
  ],
};
const digest = sha256(JSON.stringify(bill));
bill.serialNumber = `urn:uuid:${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${
  digest.slice(13, 16)
}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
console.log(JSON.stringify(bill, null, 2));

/**
 * examples/tftp_server.ts with clients that others wrote.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { Bed, findObstacle, SERVER_HOST } from "../network/bed.ts";
import { commandFor } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";
import { lacks, runTool, TOOL_MS_MAX, withServer } from "../support/tool.ts";

const TFTP = "examples/tftp_server.ts";
/** Blocks that are short, whole, one more than whole; none at all; and more numbers than 16 bits have. */
const SIZES = [0, 1, 511, 512, 513, 1024, 200_000];
const WRAPPING_BYTES = 8 * 65_536 + 100;
/** Where each packet that is lost costs a quarter of a second. */
const SLOW_FILE_BYTES = 40_000;

/** The arguments of a client that gets a file of the server's, or puts one there. */
type Transfer = (port: string, from: string, to: string, host?: string) => string[];

const HOST = "127.0.0.1";
const hpa = (mode: string, verb: string): Transfer => (port, from, to, host = HOST) => [
  ...["-m", mode, host, port, "-c", verb, from, to],
];
const curl = (...more: string[]): { get: Transfer; put: Transfer } => ({
  get: (port, from, to, host = HOST) => [
    ...["-sS", ...more, "-o", to, `tftp://${host}:${port}/${from}`],
  ],
  put: (port, from, to, host = HOST) => [
    ...["-sS", ...more, "-T", from, `tftp://${host}:${port}/${to}`],
  ],
});
const busybox = ["tftp", "-b", "1000"];

const CLIENTS: Readonly<Record<string, { get: Transfer; put: Transfer }>> = {
  "tftp": { get: hpa("binary", "get"), put: hpa("binary", "put") },
  "curl": curl(),
  "curl with blocks of 65464": curl("--tftp-blksize", "65464"),
  "curl without options": curl("--tftp-no-options"),
  "busybox": {
    get: (port, from, to) => [...busybox, "-g", "-r", from, "-l", to, HOST, port],
    put: (port, from, to) => [...busybox, "-p", "-l", from, "-r", to, HOST, port],
  },
};

for (const [name, { get, put }] of Object.entries(CLIENTS)) {
  const tool = name.split(" ", 1)[0]!;
  test(
    `${name} gets and puts files of all sizes`,
    { skip: lacks(tool) },
    () =>
      withDirectory(async (directory) => {
        await withServer(TFTP, async (port) => {
          for (const size of SIZES) {
            const bytes = randomBytes(size);
            writeFileSync(`${directory}/file`, bytes);
            writeFileSync(`${directory}/got`, "");
            await runTool(tool, get(port, "file", `${directory}/got`));
            assert(bytes.equals(readFileSync(`${directory}/got`)), `${size} bytes got`);
            await runTool(tool, put(port, `${directory}/file`, `put${size}`));
            assert(bytes.equals(readFileSync(`${directory}/put${size}`)), `${size} bytes put`);
          }
        }, [directory, "--write"]);
      }),
  );
}

test(
  "curl gets more blocks than their numbers have bits for",
  { skip: lacks("curl") },
  () =>
    withDirectory(async (directory) => {
      const bytes = randomBytes(WRAPPING_BYTES);
      writeFileSync(`${directory}/file`, bytes);
      await withServer(TFTP, async (port) => {
        const { get } = curl("--tftp-blksize", "8");
        await runTool("curl", get(port, "file", `${directory}/got`));
        assert(bytes.equals(readFileSync(`${directory}/got`)), "another byte came");
      }, [directory]);
    }),
);

test(
  "tftp gets and puts text, and is told why it gets nothing",
  { skip: lacks("tftp") },
  () =>
    withDirectory(async (directory) => {
      const text = Array.from({ length: 500 }, (_, i) => `line ${i}\r and ${i * i}\n`).join("");
      writeFileSync(`${directory}/text`, text);
      await withServer(TFTP, async (port) => {
        await runTool("tftp", hpa("ascii", "get")(port, "text", `${directory}/got`));
        assertEquals(readFileSync(`${directory}/got`, "utf8"), text);
        await runTool("tftp", hpa("ascii", "put")(port, `${directory}/text`, "put"));
        assertEquals(readFileSync(`${directory}/put`, "utf8"), text);
        const { get, put } = CLIENTS["tftp"]!;
        const got = async (name: string) =>
          (await runTool("tftp", get(port, name, `${directory}/no`))).stdout;
        assertMatch(await got("../file"), /code 2: it is not below the directory/);
        assertMatch(await got("absent"), /code 1: there is no such file/);
        const { stdout } = await runTool("tftp", put(port, `${directory}/text`, "text"));
        assertMatch(stdout, /code 6: the file is there already/);
      }, [directory, "--write"]);
      await withServer(TFTP, async (port) => {
        const { stdout } = await runTool(
          "tftp",
          CLIENTS["tftp"]!.put(port, `${directory}/text`, "new"),
        );
        assertMatch(stdout, /code 2: files are only sent/);
      }, [directory]);
    }),
);

const obstacle = lacks("tftp", "curl") || findObstacle() || false;

test(
  "tftp gets and curl puts a file through a network that loses every tenth packet",
  { skip: obstacle },
  () =>
    withDirectory(async (directory) => {
      const bytes = randomBytes(SLOW_FILE_BYTES);
      writeFileSync(`${directory}/file`, bytes);
      const bed = await Bed.make({ seed: 7 });
      try {
        await bed.set("loss=10", "loss=10");
        const [file, args] = commandFor(TFTP, {
          args: [`${SERVER_HOST}:6969`, directory, "--write"],
        });
        const server = new Program({
          argv: bed.command("server", [file, ...args]),
          cwd: root,
          timeoutMs: 3 * TOOL_MS_MAX,
        });
        await server.find(/Listening on/);
        const run = async (...argv: string[]) => {
          const [program, ...rest] = bed.command("client", argv);
          await runTool(program!, rest);
        };
        const { get } = CLIENTS["tftp"]!;
        await run("tftp", ...get("6969", "file", `${directory}/got`, SERVER_HOST));
        assert(bytes.equals(readFileSync(`${directory}/got`)), "another byte came");
        const { put } = CLIENTS["curl without options"]!;
        await run("curl", ...put("6969", `${directory}/file`, "put", SERVER_HOST));
        assert(bytes.equals(readFileSync(`${directory}/put`)), "another byte was put");
        const { there, back } = await bed.counts();
        assert(there.lost + back.lost > 10, "packets were lost");
        await server.stop("SIGINT");
      } finally {
        await bed.close();
      }
    }),
);

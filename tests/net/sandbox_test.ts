/**
 * The runtime's own call and ours, with the same flags, side by side: what is right is what the
 * runtime says. Ours run in a terminal, where the runtime would ask for what it lacks.
 */
import { assert, assertEquals } from "@std/assert";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { createListener, type TcpAddress } from "../../mod.ts";
import { run } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";
import { lacksSandbox, runInTerminal } from "../support/terminal.ts";
import { type Attempted, readVerdicts, type Verdict } from "../support/verdict.ts";

const skip = lacksSandbox();

/** Ports that nobody listens on: below those that the kernel chooses. */
const [PORT, OTHER] = [9555, 9556];

/** Both verdicts on each call, as "call target: verdict". */
async function verdicts(flags: string[], calls: Attempted[]): Promise<[string[], string[]]> {
  const permissions = flags.includes("-A") ? flags : ["--allow-ffi", ...flags];
  const args = [JSON.stringify(calls)];
  const [own, ours] = await Promise.all([
    run(`${root}tests/runtime/own_calls.ts`, { permissions, args }),
    runInTerminal(`${root}tests/support/our_calls.ts`, { permissions, args }),
  ]);
  assertEquals(ours.hasAsked, false, ours.output);
  assert(ours.output.includes("terminal true true"), ours.output);
  const told = (output: string) =>
    readVerdicts(output).map((verdict, i) => `${calls[i]!.join(" ")}: ${verdict}`);
  return [told(own.stdout + own.stderr), told(ours.output)];
}

/** Compares the verdicts, and makes sure that they are of both kinds or of the one expected. */
async function compare(flags: string, calls: Attempted[]): Promise<void> {
  const [own, ours] = await verdicts(flags.split(" ").filter(Boolean), calls);
  assertEquals(ours, own, `with ${flags || "no flags"}`);
}

/** The names of /etc/hosts that stand for this machine. */
function namesOfLoopback(): string[] {
  const lines = readFileSync("/etc/hosts", "utf8").split("\n");
  const names = lines.filter((line) => /^127\./.test(line)).flatMap((line) =>
    line.replace(/#.*/, "").trim().split(/\s+/).slice(1)
  );
  return [...new Set(names)].filter((name) => name !== "localhost").slice(0, 2);
}

const HOSTS = [
  "127.0.0.1",
  "127.0.0.2",
  "localhost",
  "LOCALHOST",
  "0.0.0.0",
  "[::1]",
  "[::1%1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[::ffff:0.0.0.0]",
  "[fe80::1%1]",
  "[fe80::1%netpoll-none]", // no interface has that name
];

const NAMES = namesOfLoopback();

const NET_FLAGS = [
  "",
  "--allow-net",
  "--allow-net --deny-net=127.0.0.1",
  "--allow-net --deny-net=127.0.0.0/8",
  "--allow-net --deny-net=[::1]",
  "--allow-net --deny-net=[::ffff:127.0.0.1]",
  "--allow-net --deny-net=localhost",
  `--allow-net --deny-net=127.0.0.1:${OTHER}`,
  `--allow-net=localhost:${PORT}`,
  "--allow-net=localhost --deny-net=127.0.0.1",
  `--allow-net=127.0.0.1:${PORT},[::1]`,
  "--allow-net=0.0.0.0",
  "--allow-net=[::],[fe80::1]",
  "--allow-net --deny-net",
  // A resolver is needed for these.
  ...NAMES.flatMap((name) => [
    `--allow-net=${name}`,
    `--allow-net=${name}:${PORT}`,
    `--allow-net --deny-net=${name}:${OTHER}`,
    `--allow-net=${name} --deny-net=127.0.0.1:${PORT}`,
  ]),
];

for (const flags of NET_FLAGS) {
  test(`dial() and createListener() say what Deno's own calls say: ${flags || "no flags"}`, {
    skip,
  }, () => {
    const hosts = [...HOSTS, ...NAMES];
    const targets = hosts.flatMap((host) => [`${host}:${PORT}`, `${host}:${OTHER}`]);
    const calls = targets.flatMap((at): Attempted[] => [["connect", at], ["listen", at]]);
    return compare(flags, [...calls, ["listen", `127.0.0.1:0`], ["listen", "localhost:0"]]);
  });
}

test("acquire() and request() may go where dial() may, and do not wait for what they may not", {
  skip,
}, async () => {
  const targets = [`127.0.0.1:${OTHER}`, `127.0.0.1:${PORT}`, `localhost:${PORT}`];
  const calls = targets.flatMap((at) =>
    ["connect", "acquire", "request"].map((call): Attempted => [call, at])
  );
  const { hasAsked, output } = await runInTerminal(`${root}tests/support/our_calls.ts`, {
    permissions: ["--allow-ffi", `--allow-net=127.0.0.1:${OTHER}`],
    args: [JSON.stringify(calls)],
  });
  assertEquals(hasAsked, false, output);
  const expected = calls.map(([, at]) => at === targets[0] ? "ALLOWED" : "NotCapable --allow-net");
  assertEquals(readVerdicts(output), expected as Verdict[]);
});

/** Calls in a directory with links, of which `ok` is granted and `no` is not. */
function withLinks(call: (directory: string) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    for (const name of ["ok", "no"]) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "file"), name);
    }
    symlinkSync("../no", join(directory, "ok", "into"));
    symlinkSync("../no/file", join(directory, "ok", "link"));
    symlinkSync("/sys/kernel", join(directory, "ok", "sys"));
    symlinkSync("/proc/self/environ", join(directory, "ok", "environ"));
    await call(directory);
  });
}

/** Deno has abstract names, and `unix:PATH` as net, since 2.9. */
const KNOWS_UNIX = host.version.localeCompare("2.9", "en", { numeric: true }) >= 0;

/** Flags about a directory, which stands for `DIR`. */
const UNIX_FLAGS = [
  "",
  "--allow-net",
  "--allow-read --allow-write",
  "--allow-net --allow-read --allow-write",
  "--allow-net --allow-read=DIR/ok --allow-write=DIR/ok",
  "--allow-net --allow-read --allow-write=DIR/ok",
  "--allow-net=127.0.0.1 --allow-read --allow-write",
  "--allow-net=unix:DIR/ok/a,unix:DIR/no/a --allow-read=DIR --allow-write=DIR",
  "--allow-net --deny-net=unix:DIR/no/a --allow-read --allow-write",
  "--allow-net --allow-read --allow-write --deny-write=DIR/no",
  "--allow-net --allow-read --allow-write --deny-read=DIR/ok/into",
];

for (const flags of UNIX_FLAGS.filter((flags) => KNOWS_UNIX || !flags.includes("unix:"))) {
  test(
    `dial() and createListener() of a path say what Deno's own calls say: ${flags || "no flags"}`,
    {
      skip,
    },
    () =>
      withLinks((directory) => {
        const places = [
          "ok/a",
          "ok/../no/a",
          "ok/into/a",
          "ok/into/../a",
          "no/a",
          "./ok//a",
          "none/a",
        ];
        const paths = [
          ...places.map((place) => `${directory}/${place}`),
          relative(root, join(directory, "ok", "a")),
          ...(KNOWS_UNIX ? ["@netpoll-sandbox"] : []),
        ];
        const calls = paths.flatMap((path): Attempted[] => [
          ["connectUnix", path],
          ["listenUnix", path],
        ]);
        return compare(flags.replaceAll("DIR", directory), calls);
      }),
  );
}

const READ_FLAGS = [
  "",
  "-A",
  "--allow-read",
  "--allow-read=DIR/ok",
  "--allow-read --deny-read=DIR/no",
  "--allow-read --ignore-read=DIR/no",
  "--allow-read=DIR,/proc,/sys,/dev",
  "--allow-read --allow-env --allow-net --allow-write --allow-sys --allow-run",
  "--allow-read --deny-read",
];

const SPECIAL = [
  "/sys/kernel",
  "/sys/kernel/mm/transparent_hugepage/enabled",
  "/proc/self/environ",
  "/proc/self/status",
  "/proc/self/fd/0",
  "/proc/version",
  "/proc/../proc/version",
  "/dev/null",
  "/dev/zero",
  "/dev/fd/0",
  "/dev/shm/netpoll-none",
];

for (const flags of READ_FLAGS) {
  test(
    `sendFile() says what the runtime says to its own open: ${flags || "no flags"}`,
    { skip },
    () =>
      withLinks((directory) => {
        const places = [
          "ok/file",
          "no/file",
          "ok/link",
          "ok/into/file",
          "ok/../no/file",
          "ok/none",
        ];
        const links = ["ok/sys/mm", "ok/environ", "ok"];
        const paths = [...places, ...links].map((place) => `${directory}/${place}`);
        const calls = [...paths, ...SPECIAL, relative(root, paths[1]!), `${root}LICENSE`].map(
          (path): Attempted => ["open", path],
        );
        return compare(flags.replaceAll("DIR", directory), calls);
      }),
  );
}

const WRITE_FLAGS = [
  "",
  "-A",
  "--allow-write",
  "--allow-write=DIR/ok",
  "--allow-write --deny-write=DIR/no",
  "--allow-write=DIR,/proc,/sys,/dev --allow-read",
  "--allow-read --allow-env --allow-net",
  "--allow-write --deny-write",
];

for (const flags of WRITE_FLAGS) {
  test(
    `receiveFile() says what the runtime says to its own open: ${flags || "no flags"}`,
    { skip },
    () =>
      withLinks((directory) => {
        const places = [
          ...["ok/file", "ok/new", "no/file", "no/new", "ok/link", "ok/into/file"],
          ...["ok/../no/file", "ok/none/file", "ok"],
        ];
        const paths = places.map((place) => `${directory}/${place}`);
        const special = ["/proc/self/comm", "/dev/null", "/dev/shm", "/sys/kernel"];
        const calls = [...paths, ...special, relative(root, paths[2]!)].map(
          (path): Attempted => ["write", path],
        );
        return compare(flags.replaceAll("DIR", directory), calls);
      }),
  );
}

test(
  "runInTerminal() notices that a program was stopped to ask, so that the tests above can fail",
  {
    skip,
  },
  async () => {
    const calls: Attempted[] = [["listen", `127.0.0.1:${PORT}`]];
    const { hasAsked } = await runInTerminal(`${root}tests/runtime/own_calls.ts`, {
      args: [JSON.stringify(calls)],
      permissions: [],
    });
    assertEquals(hasAsked, true);
  },
);

test(
  "the table holds verdicts of both kinds, so that the tests above can fail",
  { skip },
  async () => {
    const calls: Attempted[] = [["listen", "127.0.0.1:0"], ["listen", "127.0.0.2:0"]];
    const expected: Verdict[] = ["ALLOWED", "NotCapable --allow-net"];
    const both = await verdicts(["--allow-net=127.0.0.1"], calls);
    for (const told of both) {
      assertEquals(told, calls.map((call, i) => `${call.join(" ")}: ${expected[i]}`));
    }
  },
);

/** The address that netpoll listens at, when it is given an address and some permissions. */
async function boundAt(flags: string, address: string): Promise<string> {
  const permissions = ["--allow-ffi", ...flags.split(" ")];
  const shown = await runInTerminal(`${root}tests/support/listen_at.ts`, {
    permissions,
    args: ["tcp", address, "address"],
  });
  return shown.output.trim();
}

test('createListener() of ":port" binds what was granted, and nothing else', { skip }, async () => {
  const at = `:${PORT}`;
  assertEquals(await boundAt("--allow-net", at), "listens at ::");
  assertEquals(await boundAt("--allow-net=[::]", at), "listens at ::");
  assertEquals(await boundAt(`--allow-net=0.0.0.0:${PORT}`, at), "listens at 0.0.0.0");
  // "::" would take IPv4 connections, too.
  assertEquals(await boundAt("--allow-net --deny-net=0.0.0.0", at), "NotCapable");
  assertEquals(await boundAt("--allow-net --deny-net=[::]", at), "listens at 0.0.0.0");
  assertEquals(await boundAt("--allow-net=127.0.0.1,localhost", at), "NotCapable");
});

test(
  "createListener() makes the file that the permission is about, where a path has a link and ..",
  {
    skip,
  },
  () =>
    withLinks(async (directory) => {
      const ok = join(directory, "ok");
      const { output } = await runInTerminal(`${root}tests/support/listen_at.ts`, {
        permissions: ["--allow-ffi", "--allow-net", `--allow-read=${ok}`, `--allow-write=${ok}`],
        // The kernel would follow the link first, out of the granted directory.
        args: ["unix", `${ok}/into/../socket`, "address"],
      });
      assertEquals(output.trim(), `listens at ${ok}/socket`);
    }),
);

test("dial() and createListener() notice what is taken back, and not what is put in the way", {
  skip,
}, () =>
  withLinks(async (directory) => {
    const { hasAsked, output } = await runInTerminal(`${root}tests/runtime/after_import.ts`, {
      permissions: ["--allow-ffi", "--allow-net", "--allow-read", "--allow-write"],
      args: [join(directory, "ok")],
    });
    assertEquals(hasAsked, false, output);
    assertEquals(output.trim().split(/\r?\n/), [
      "dial before: done",
      "send before: done",
      "dial after: NotCapable",
      "listen after: NotCapable",
      "dial a path after: NotCapable",
      "send after: NotCapable",
      "close after: done",
    ]);
  }));

test("a Worker with fewer permissions may do what the runtime lets it", { skip }, async () => {
  const calls: Attempted[] = [
    ["connect", `${PORT}`],
    ["listen", `${OTHER}`],
    ["listen", `${PORT}`],
    ["open", `${root}LICENSE`],
    ["open", `${root}README.md`],
  ];
  const narrow = { net: [`127.0.0.1:${PORT}`], read: [`${root}LICENSE`], ffi: true };
  const { stdout, stderr } = await run(`${root}tests/runtime/narrow_worker.ts`, {
    permissions: ["--unstable-worker-options", "-A"],
    args: [JSON.stringify(calls), JSON.stringify(narrow)],
  });
  assertEquals(stdout.trim().split("\n"), [
    `connect ${PORT}: ALLOWED, ALLOWED`,
    `listen ${OTHER}: NotCapable --allow-net, NotCapable --allow-net`,
    `listen ${PORT}: ALLOWED, ALLOWED`,
    `open ${root}LICENSE: ALLOWED, ALLOWED`,
    `open ${root}README.md: NotCapable --allow-read, NotCapable --allow-read`,
  ], stderr);
});

test("dial() of a name tries no denied address after the first", { skip }, async () => {
  // Nobody listens at 127.0.0.1, which is tried first.
  const listener = createListener("tcp6", "[::1]:0");
  const { port } = listener.address as TcpAddress;
  const at = `localhost:${port}`;
  const ask = async (...denied: string[]) => {
    const { output } = await runInTerminal(`${root}tests/support/dial_once.ts`, {
      permissions: ["--allow-ffi", `--allow-net=${at}`, ...denied],
      args: [at],
    });
    return output.trim();
  };
  try {
    assertEquals(await ask(), "connected to ::1");
    assertEquals(await ask("--deny-net=[::1]"), "SystemError ECONNREFUSED");
    assertEquals(await ask("--deny-net=127.0.0.1"), "NotCapable");
  } finally {
    listener.close();
  }
});

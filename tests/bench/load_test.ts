/**
 * The load generator against servers that are honest, and against servers that lie: a figure is
 * worth something only if every lie ends the run.
 */
import { assertEquals, assertGreater, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { type Loaded, runLoad, startEcho } from "../support/bench_programs.ts";
import { delay } from "../support/until.ts";

/** One connection, as a server sees it. */
interface Peer {
  socket: Socket;
  /** Bytes that came before those at hand. */
  receivedBytes: number;
}

/** Answers bytes that came. `all` is in the order of connecting. */
type Answer = (from: Peer, bytes: Buffer, all: readonly Peer[]) => void;

/** Runs load against a server in this process that answers as it likes. */
async function loadOn(answer: Answer, options: string): Promise<Loaded> {
  const all: Peer[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    const peer = { socket, receivedBytes: 0 };
    all.push(peer);
    socket.on("error", () => {}); // load ends as soon as it has seen the lie
    socket.on("data", (bytes: Buffer) => {
      answer(peer, bytes, all);
      peer.receivedBytes += bytes.length;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await runLoad(`${options} -p ${(server.address() as AddressInfo).port}`);
  } finally {
    for (const { socket } of all) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Calls back once, with the bytes in which the one at `offset` of a stream lies. */
function at(offset: number, from: Peer, bytes: Buffer): Buffer | null {
  const index = offset - from.receivedBytes;
  return index >= 0 && index < bytes.length ? bytes.subarray(index) : null;
}

/** To everybody but the sender. */
function spread(from: Peer, bytes: Buffer, all: readonly Peer[]): void {
  for (const { socket } of all) if (socket !== from.socket) socket.write(bytes);
}

/** Wrong servers: the options of the load, the words that it must say, and the answer. */
const LIES: Readonly<Record<string, readonly [string, RegExp, Answer]>> = {
  "drops a byte": ["-d 3 -N 50", /connection 0: wrong bytes after 300$/m, (from, bytes) => {
    const rest = at(300, from, bytes);
    if (!rest) return from.socket.write(bytes);
    from.socket.write(bytes.subarray(0, bytes.length - rest.length));
    from.socket.write(rest.subarray(1));
  }],
  "doubles a byte": [
    "-d 3 -N 50",
    /connection 0: (wrong bytes after 301|more bytes came than were sent)$/m,
    (from, bytes) => {
      const rest = at(300, from, bytes);
      if (!rest) return from.socket.write(bytes);
      from.socket.write(bytes.subarray(0, bytes.length - rest.length + 1));
      from.socket.write(rest);
    },
  ],
  "changes a byte of the length of a frame": [
    "-f -N 50",
    /connection 0: wrong frame length after 139$/m,
    (from, bytes) => {
      const wrong = at(139, from, bytes);
      if (wrong) wrong[0]!++;
      from.socket.write(bytes);
    },
  ],
  "changes a byte of a frame's payload": [
    "-f -N 50",
    /connection 0: wrong bytes after 140$/m,
    (from, bytes) => {
      const wrong = at(140, from, bytes);
      if (wrong) wrong[0]!++;
      from.socket.write(bytes);
    },
  ],
  "gives an answer to another connection": [
    "-c 2 -N 10",
    /connection [01]: wrong bytes after 0$/m,
    (from, _bytes, [a, b]) => {
      const other = from === a ? b : a;
      if (!other || from.receivedBytes + other.receivedBytes === 0) return;
      const [first, second] = [Buffer.alloc(64), Buffer.alloc(64)];
      for (let i = 0; i < 64; i++) {
        first[i] = i * 7 + 3;
        second[i] = (i + 17) * 7 + 3;
      }
      a!.socket.write(second);
      b!.socket.write(first);
    },
  ],
  "answers more than it was asked": [
    "-N 10",
    /connection 0: more bytes came than were sent$/m,
    (from, bytes) => {
      from.socket.write(Buffer.concat([bytes, bytes]));
    },
  ],
  "closes early": ["-N 10", /connection 0: the server closed it$/m, (from, bytes) => {
    if (from.receivedBytes < 256) from.socket.write(bytes);
    else from.socket.end();
  }],
  "keeps the last byte to itself": [
    "-N 1 -T 0.2",
    /connection 0: an answer is missing$/m,
    (from, bytes) => from.socket.write(bytes.subarray(0, 63)),
  ],
  "forgets one of three connections": [
    "-c 3 -t 0.2 -w 0 -T 0.2",
    /connection \d: an answer is missing$/m,
    (from, bytes, all) => {
      if (from !== all[1]) from.socket.write(bytes);
    },
  ],
  "speaks on an idle connection": [
    "-I 1 -N 100",
    /connection 1: it is idle, and got bytes$/m,
    (from, bytes, [idle]) => {
      if (from !== idle) idle!.socket.write("!");
      from.socket.write(bytes);
    },
  ],
  "closes an idle connection": [
    "-I 1 -N 100",
    /connection 1: the server closed it$/m,
    (from, bytes, [idle]) => {
      if (from !== idle) idle!.socket.end();
      from.socket.write(bytes);
    },
  ],
  "never answers an idle connection": [
    "-I 1 -T 0.2",
    /connection 1: no answer to its one message$/m,
    () => {},
  ],
  "starves a slow reader": [
    "-W 1 -N 10 -T 1",
    /connection 1: it reads slowly, and got nothing at all$/m,
    (from, bytes, [slow]) => {
      if (from !== slow) from.socket.write(bytes);
    },
  ],
  "sends a slow reader what is not his": [
    "-W 1 -t 5",
    /connection 1: wrong bytes after 100$/m,
    (from, bytes, [slow]) => {
      const wrong = from === slow ? at(100, from, bytes) : null;
      if (wrong) wrong[0]!++;
      from.socket.write(bytes);
    },
  ],
  "forgets a receiver of a broadcast": [
    "-B 3 -N 10 -T 0.3",
    /connection 0: not everybody gets what it sends$/m,
    (from, bytes, all) => spread(from, bytes, all.filter((_, index) => index !== 1)),
  ],
  "loses one delivery of a broadcast": [
    "-B 3 -N 50 -T 1",
    /connection 2: an answer is missing$/m,
    (from, bytes, all) => {
      const isLost = from.receivedBytes >= 1000;
      spread(from, bytes, isLost ? all.filter((_, index) => index !== 1) : all);
    },
  ],
  "delivers a frame of a broadcast twice": [
    "-B 3 -N 50",
    /connection 2: (wrong bytes after \d+|more bytes came than were sent)$/m,
    (from, bytes, all) => {
      spread(from, bytes, all);
      if (from.receivedBytes >= 1000) all[1]!.socket.write(bytes);
    },
  ],
  "broadcasts to the sender too": [
    "-B 3 -N 50",
    /connection 0: the sender got bytes$/m,
    (from, bytes, all) => {
      from.socket.write(bytes);
      spread(from, bytes, all);
    },
  ],
};

for (const [lie, [options, message, answer]] of Object.entries(LIES)) {
  test(`load names the lie of a server that ${lie}`, async () => {
    const { code, errors } = await loadOn(answer, options);
    assertMatch(errors, message);
    assertEquals(code, 3);
  });
}

/** The mode of an honest server, the options it is loaded with, and how many messages that makes. */
const HONEST: readonly (readonly [string, string, number])[] = [
  ["echo", "-c 5 -d 3 -N 100", 500],
  ["echo", "-c 2 -s 1048576 -N 5", 10],
  ["framed", "-f -c 5 -d 20 -s 1000 -N 100", 500],
  ["framed", "-f -c 2 -I 8 -s 300000 -N 10", 20],
  ["tail", "-f -c 4 -d 25 -N 100", 400],
  ["broadcast", "-B 10 -N 100", 1000],
  ["broadcast", "-B 3 -d 4 -s 1 -N 100", 300],
  ["broadcast", "-B 2 -r 2000 -s 200000 -N 20", 40],
];

for (const [mode, options, messages] of HONEST) {
  test(`load ${options} counts ${messages} messages of an honest server, ${mode}`, async () => {
    const server = await startEcho(`-m ${mode}`);
    try {
      const { code, report, errors } = await runLoad(
        `${options} -S ${server.pid} -p ${server.port}`,
      );
      assertEquals(errors, "");
      assertEquals(code, 0);
      assertEquals(report["messages"], messages);
      const rising = ["p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us"]
        .map((name) => report[name]!);
      assertEquals(rising, rising.toSorted((a, b) => a - b));
      assertGreater(rising[0]!, 0);
      assertGreater(report["server_us_per_message"]!, 0);
      assertGreater(report["server_rss_bytes_begin"]!, 0);
      assertGreaterOrEqual(report["server_rss_bytes_peak"]!, report["server_rss_bytes_end"]!);
    } finally {
      await server.stop();
    }
  });
}

test("load connects anew after every 5 messages of a churn, and loses none", async () => {
  const server = await startEcho("-m framed");
  try {
    const { code, report } = await runLoad(`-f -c 3 -n 5 -L -N 100 -p ${server.port}`);
    assertEquals(code, 0);
    assertGreaterOrEqual(report["messages"]!, 300);
    assertGreater(report["connects_per_s"]!, 0);
  } finally {
    await server.stop();
  }
});

test("load reads slowly beside the others, and compares that too", async () => {
  const server = await startEcho("-m framed");
  try {
    const options = "-f -c 2 -W 3 -y 10000000 -s 2000 -N 5000";
    const { code, report } = await runLoad(`${options} -p ${server.port}`);
    assertEquals(code, 0);
    assertEquals(report["messages"], 10_000);
    assertGreater(report["slow_bytes"]!, 0);
  } finally {
    await server.stop();
  }
});

test("load -r counts latency from when a message was due: a server that stalls is seen", async () => {
  let stall: Promise<void> | null = null;
  const { code, report } = await loadOn((from, bytes) => {
    if (stall === null && from.receivedBytes >= 200 * 64) stall = delay(200);
    if (stall === null) from.socket.write(bytes);
    else stall.then(() => from.socket.write(bytes));
  }, "-r 1000 -N 600");
  assertEquals(code, 0);
  assertEquals(report["messages"], 600);
  // 200 messages were due in the stall, and waited from 200 ms down to nothing: a quarter of all
  // waited 50 ms or more. A generator that waits for answers before it sends would have seen one.
  assertGreaterOrEqual(report["max_us"]!, 190_000);
  assertGreaterOrEqual(report["p90_us"]!, 50_000);
});

test("load says what is wrong with its options, and ends with 2", async () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["-c x -p 1", /-c wants a number, not "x"/],
    ["-t -1 -p 1", /-t wants a number, not "-1"/],
    ["-c 0 -p 1", /-c, -d and -s are 1 at least/],
    ["-c 5", /one address, by -p or -U/],
    ["-p 1 -U there", /one address, by -p or -U/],
    ["-B 2 -c 3 -p 1", /in a broadcast one sends/],
    ["-f -s 16777217 -p 1", /16 MiB/],
    ["-q", /no such option/],
  ];
  for (const [options, message] of wrong) {
    const { code, errors } = await runLoad(options);
    assertMatch(errors, message);
    assertEquals(code, 2, options);
  }
  assertEquals((await runLoad("--help")).code, 0);
});

/**
 * examples/mqtt_broker.ts between the clients of mosquitto, of paho, and some that mean no good.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { portOf, withExample } from "../support/example.ts";
import { root } from "../support/library.ts";
import { talkTo } from "../support/outside.ts";
import { lacks, lacksModule, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const TOOLS = ["mosquitto_pub", "mosquitto_sub"];
const COUNT = 1000 * SCALE;

/** Runs the broker while it calls. What it has told. */
async function withBroker(call: (port: number) => Promise<void>): Promise<string> {
  const options = { timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample("examples/mqtt_broker.ts", "127.0.0.1:0", (at) => {
    return call(portOf(at));
  }, options);
  assertEquals([ended.code, ended.signal], [0, null], ended.stderr);
  return ended.stderr;
}

function at(port: number, ...args: string[]): string[] {
  return ["-h", "127.0.0.1", "-p", `${port}`, ...args];
}

/** Starts a client that hears. It has subscribed when this resolves. */
async function hearing(port: number, ...args: string[]): Promise<Program & AsyncDisposable> {
  const client = talkTo("stdbuf", ["-oL", "mosquitto_sub", ...at(port, "-d", ...args)]);
  await client.find(/Subscribed \(mid: 1\)/);
  return client;
}

/** The messages among what a client has printed, which also tells what it does. */
function messagesOf({ stdout }: { stdout: string }): string[] {
  return stdout.split("\n").filter((line) => line !== "" && !/^(Client |Subscribed )/.test(line));
}

function publish(port: number, ...args: string[]): Promise<unknown> {
  return runTool("mosquitto_pub", at(port, ...args));
}

/** Publishes each line of a text. */
async function publishLines(port: number, lines: readonly string[], ...args: string[]) {
  await using client = talkTo("mosquitto_pub", at(port, "-l", ...args));
  client.endInput(lines.join("\n"));
  await client.finish();
}

for (const qos of ["0", "1", "2"]) {
  test(`mosquitto_sub hears all that mosquitto_pub says at QoS ${qos}, once and in order`, {
    skip: lacks(...TOOLS, "stdbuf"),
  }, async () => {
    const told = await withBroker(async (port) => {
      const lines = Array.from({ length: COUNT }, (_, n) => `${n}`);
      await using one = await hearing(port, "-q", qos, "-t", "a/+/c", "-C", `${COUNT}`);
      await using other = await hearing(
        port,
        "-q",
        "2",
        "-t",
        "a/#",
        "-t",
        "a/b/c",
        "-C",
        `${COUNT}`,
      );
      await publishLines(port, lines, "-q", qos, "-t", "a/b/c");
      for (const { ended } of [one, other]) assertEquals(messagesOf(await ended), lines);
    });
    assertEquals(told, "");
  });
}

test("mosquitto_sub gets what is kept, a last word, and what came while it was away", {
  skip: lacks(...TOOLS, "stdbuf"),
}, async () => {
  await withBroker(async (port) => {
    await publish(port, "-r", "-q", "1", "-t", "kept/x", "-m", "before");
    const kept = ["-t", "kept/#", "-C", "1", "-F", "%t %p %r"];
    assertEquals((await runTool("mosquitto_sub", at(port, ...kept))).stdout, "kept/x before 1\n");

    await using heir = await hearing(port, "-t", "will/#", "-v", "-C", "1");
    const will = ["--will-topic", "will/me", "--will-payload", "gone", "--will-qos", "1"];
    await using lost = await hearing(port, "-i", "lost", "-t", "none", ...will);
    lost.signal("SIGKILL"); // and so is stdbuf's child: it is the same process by now
    assertEquals(messagesOf(await heir.ended), ["will/me gone"]);

    const mine = ["-i", "mine", "-c", "-q", "2", "-t", "mine/#"];
    await runTool("mosquitto_sub", at(port, ...mine, "-E"));
    for (const n of ["1", "2", "3"]) {
      await publish(port, "-q", n === "3" ? "2" : n, "-t", `mine/${n}`, "-m", n);
    }
    const missed = await runTool("mosquitto_sub", at(port, ...mine, "-C", "3"));
    assertEquals(missed.stdout, "1\n2\n3\n");
  });
});

test(
  "clients of other versions are told in their own words",
  { skip: lacks(...TOOLS) },
  async () => {
    await withBroker(async (port) => {
      for (
        const [version, word] of [["mqttv5", /Unsupported Protocol Version/], [
          "mqttv31",
          /unacceptable/,
        ]]
      ) {
        const argv = ["mosquitto_pub", ...at(port, "-V", version as string, "-t", "x", "-m", "y")];
        const command = { argv, cwd: root, timeoutMs: TOOL_MS_MAX };
        const { stdout, stderr } = await new Program(command).ended;
        assertMatch(stdout + stderr, word as RegExp);
      }
    });
  },
);

test("paho hears every message at each QoS, also those that waited for it", {
  skip: lacksModule("/usr/bin/python3", "paho.mqtt.client"),
}, async () => {
  const told = await withBroker(async (port) => {
    const args = ["tests/acceptance/mqtt_client.py", `${port}`, `${300 * SCALE}`];
    assertEquals((await runTool("/usr/bin/python3", args)).stdout, "fine\n");
  });
  assertEquals(told, "");
});

// ---- clients that mean no good ------------------------------------------------------------------------

const CONNECT = "\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03raw";

/** A connection that says this. Its errors are nobody's business: it may be cut off. */
async function saying(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  socket.write(Buffer.from(bytes, "latin1"));
  return socket;
}

test("a subscriber that does not read holds up nobody", {
  skip: lacks(...TOOLS, "stdbuf"),
}, async () => {
  const told = await withBroker(async (port) => {
    const deaf = await saying(port, `${CONNECT}\x82\x06\0\x01\0\x01#\x00`);
    await once(deaf, "data");
    deaf.pause();
    // 15 MB: more than its kernel and ours hold for it. The other's are fewer than may wait for it.
    const large = "x".repeat(100_000);
    await publishLines(port, new Array(150).fill(large), "-q", "1", "-t", "b");
    await using client = await hearing(port, "-q", "1", "-t", "a", "-C", "60", "-F", "%l %q");
    await publishLines(port, new Array(60).fill(large), "-q", "1", "-t", "a");
    assertEquals(messagesOf(await client.ended), new Array(60).fill("100000 1"));
    deaf.destroy();
  });
  assertEquals(told, "");
});

test("what is no MQTT is cut off, and a client that is silent for too long", async () => {
  const told = await withBroker(async (port) => {
    const heard = async (bytes: string) => {
      const socket = await saying(port, bytes);
      let text = "";
      socket.setEncoding("latin1").on("data", (piece) => text += piece);
      if (!socket.closed) await once(socket, "close");
      return text;
    };
    const welcome = "\x20\x02\0\0";
    assertEquals(await heard("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "");
    assertEquals(await heard("\xc0\0"), ""); // no CONNECT
    assertEquals(await heard(CONNECT + CONNECT), "");
    assertEquals(await heard(`${CONNECT}\x30\xff\xff\xff\x7f`), "");
    // A keep-alive of one second, and a client that has no name and wants a session.
    const silent = CONNECT.replace("\x02\0\0\0", "\x02\0\x01\0");
    assertEquals(await heard(silent), welcome);
    assertEquals(await heard("\x10\x0c\0\x04MQTT\x04\0\0\0\0\0"), "\x20\x02\0\x02");
    assertEquals(await heard(`${CONNECT}\xe0\0`), welcome);
  });
  assertEquals(told.match(/^A client was cut off: /gm)?.length, 5, told);
  assert(/1500 ms/.test(told), told);
});

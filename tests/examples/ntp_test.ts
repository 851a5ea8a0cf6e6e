/**
 * examples/ntp_server.ts before packets of every version, mode and length; tests/acceptance/
 * datagram_test.ts has ntpdate.
 */
import { assert, assertEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { sent } from "../support/dgram.ts";
import { portOf, withExample } from "../support/example.ts";

const [CLIENT, SERVER] = [3, 4];
const EPOCH_SECONDS = 2_208_988_800;
/** A clock that is set meanwhile hurts no test. */
const SECONDS_OFF_MAX = 60;

function packet(version: number, mode: number, length = 48): Uint8Array {
  const bytes = new Uint8Array(length);
  if (length > 0) bytes[0] = version << 3 | mode;
  // Its number is what comes back as the origin.
  if (length >= 48) bytes.set([version, mode, 1, 2, 3, 4, 5, 6], 40);
  return bytes;
}

function secondsAt(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(at) - EPOCH_SECONDS + view.getUint32(at + 4) / 2 ** 32;
}

test("ntp_server.ts answers clients of versions 1 to 4, and nobody else", async () => {
  const ended = await withExample("examples/ntp_server.ts", "127.0.0.1:0", async (at) => {
    const port = portOf(at);
    const socket = createSocket("udp4");
    const heard: Uint8Array[] = [];
    socket.on("message", (message) => heard.push(message));
    const ask = (bytes: Uint8Array) => sent(socket, bytes, port);
    for (let version = 0; version < 8; version++) {
      for (let mode = 0; mode < 8; mode++) await ask(packet(version, mode));
    }
    for (let length = 0; length < 48; length++) await ask(packet(4, CLIENT, length));
    await ask(packet(4, CLIENT, 1000)); // the last of all is answered last
    while (heard.length < 5) await once(socket, "message");
    socket.close();
    assertEquals(heard.map((answer) => answer.length), [48, 48, 48, 48, 48]);
    const now = Date.now() / 1000;
    for (const [i, answer] of heard.entries()) {
      const version = Math.min(i + 1, 4);
      assertEquals(answer[0], version << 3 | SERVER);
      assertEquals(Array.from(answer.subarray(24, 32)), [version, CLIENT, 1, 2, 3, 4, 5, 6]);
      const [received, sent] = [secondsAt(answer, 32), secondsAt(answer, 40)];
      assert(sent >= received && Math.abs(sent - now) < SECONDS_OFF_MAX, `${received} ${sent}`);
    }
  });
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
});

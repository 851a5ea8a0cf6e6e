// deno run --allow-ffi --allow-net examples/ntp_server.ts   or   bun examples/ntp_server.ts

/**
 * Tells the time by NTP (RFC 5905), as good as this machine's clock is. The kernel notes when a
 * question has come, so that its wait in our queue is no error. `ntp_server.ts [HOST:PORT]`; at
 * localhost:1230 unless told otherwise, since the protocol's port 123 is for root.
 *
 * Try it as root at port 123, where no other server has it, with `ntpdate -q localhost`.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { createDatagramSocket } from "../mod.ts";

const PACKET_BYTES = 48;
const CLIENT = 3;
const SERVER = 4;
const STRATUM = 10; // a clock that nobody has set by a better one
/** Seconds from 1900, where NTP begins, to 1970. */
const EPOCH_SECONDS = 2_208_988_800;
const FRACTION = 2 ** 32;
/** Where times stand. */
const At = { REFERENCE: 16, ORIGIN: 24, RECEIVED: 32, SENT: 40 } as const;

function putTime(view: DataView, at: number, micros: number): void {
  const seconds = Math.floor(micros / 1e6);
  view.setUint32(at, seconds + EPOCH_SECONDS);
  view.setUint32(at + 4, Math.floor((micros / 1e6 - seconds) * FRACTION));
}

const answer = new Uint8Array(PACKET_BYTES);
const out = new DataView(answer.buffer);

const socket = createDatagramSocket("udp", process.argv[2] ?? "localhost:1230", {
  timestamps: true,
  onDatagram(datagram) {
    if (datagram.length < PACKET_BYTES) return;
    const { bytes } = datagram;
    const version = bytes[0]! >> 3 & 7;
    if ((bytes[0]! & 7) !== CLIENT || version === 0) return;
    answer.fill(0);
    answer[0] = version << 3 | SERVER;
    answer[1] = STRATUM;
    answer[2] = bytes[2]!; // its pause between questions
    answer[3] = 0xec; // the clock is read to a microsecond: 2^-20 s
    answer.set([0x4c, 0x4f, 0x43, 0x4c], 12); // "LOCL": this machine's own clock
    putTime(out, At.REFERENCE, datagram.receivedMicros);
    answer.set(bytes.subarray(At.SENT, At.SENT + 8), At.ORIGIN);
    putTime(out, At.RECEIVED, datagram.receivedMicros);
    putTime(out, At.SENT, Math.max(datagram.receivedMicros, Date.now() * 1000));
    datagram.reply(answer);
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void socket.close());
}

const { hostname, port } = socket.localAddress;
console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
await socket.closed;

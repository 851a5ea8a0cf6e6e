// deno run --allow-ffi --allow-net examples/ntp_server.ts   or   bun examples/ntp_server.ts

/**
 * Tells the time by NTP (RFC 5905), as good as this machine's clock is, at localhost:1230 or the
 * address given; the protocol's own port 123, which `ntpdate -q` asks, is for root. The kernel notes
 * when a question has come, so that its wait in our queue is no error.
 *
 * @module
 */
import { listenDatagrams, readArguments, stopAsked } from "./command_line.ts";

const USAGE = "Usage: ntp_server.ts [HOST:PORT]\n";
const PACKET_BYTES = 48;
const VERSION_MAX = 4;
/** Modes of packets. Nobody is answered but clients: servers would answer each other for ever. */
const Mode = { CLIENT: 3, SERVER: 4 } as const;
const STRATUM = 10; // a clock that nobody has set by a better one
const PRECISION = 0xec; // it is read to a microsecond: 2^-20 s
const LOCAL = [0x4c, 0x4f, 0x43, 0x4c]; // "LOCL": this machine's own clock
/** Seconds from 1900, where NTP begins, to 1970. In 2036 they begin again (RFC 5905 §6). */
const EPOCH_SECONDS = 2_208_988_800;
const FRACTION = 2 ** 32;
/** Where times stand. */
const At = { REFERENCE: 16, ORIGIN: 24, RECEIVED: 32, SENT: 40 } as const;

function putTime(view: DataView, at: number, micros: number): void {
  const seconds = Math.floor(micros / 1e6);
  view.setUint32(at, seconds + EPOCH_SECONDS);
  view.setUint32(at + 4, Math.floor((micros - seconds * 1e6) / 1e6 * FRACTION));
}

const answer = new Uint8Array(PACKET_BYTES);
const out = new DataView(answer.buffer);

const { at } = readArguments(USAGE, 1230, {});
const stopped = stopAsked();
const socket = listenDatagrams(at, {
  timestamps: true,
  onDatagram(datagram) {
    if (datagram.length < PACKET_BYTES) return;
    const { bytes, receivedMicros } = datagram;
    const version = bytes[0]! >> 3 & 7;
    if ((bytes[0]! & 7) !== Mode.CLIENT || version === 0 || version > VERSION_MAX) return;
    answer.fill(0);
    answer[0] = version << 3 | Mode.SERVER;
    answer[1] = STRATUM;
    answer[2] = bytes[2]!; // its pause between questions
    answer[3] = PRECISION;
    answer.set(LOCAL, 12);
    putTime(out, At.REFERENCE, receivedMicros);
    answer.set(bytes.subarray(At.SENT, At.SENT + 8), At.ORIGIN);
    putTime(out, At.RECEIVED, receivedMicros);
    putTime(out, At.SENT, Math.max(receivedMicros, Date.now() * 1000));
    datagram.reply(answer);
  },
}, (host, port) => `chronyd -Q 'server ${host} port ${port} iburst'`);

await stopped;
await socket.close();
console.log("Stopped");

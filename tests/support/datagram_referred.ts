/**
 * A program: datagram sockets that let the process end, each in a state of its own. Its argument
 * "again" takes that back for one of them.
 */
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { createDatagramSocket, datagramPair, dialDatagram } from "../../mod.ts";

const handled = createDatagramSocket("udp4", "127.0.0.1:0", {
  idleTimeoutMs: 60_000,
  onDatagram: (datagram) => void datagram.reply(datagram.bytes),
});
const waiting = createDatagramSocket("udp4", "127.0.0.1:0", { readTimeoutMs: 60_000 });
void waiting.wait();
const at = `127.0.0.1:${handled.localAddress.port}`;
const asking = await dialDatagram("udp4", at, { readTimeoutMs: 60_000 });
const [one, other] = datagramPair();
const paused = createDatagramSocket("udp4", "127.0.0.1:0", { onDatagram() {} });
paused.pauseRead();
const all = [handled, waiting, asking, one, other, paused];
for (const each of all) each.unref();

// While something else keeps the process alive they do their work.
asking.write(new Uint8Array(3));
await asking.flush();
const answer = asking.wait();
const keeper = setInterval(() => {}, 60_000);
await answer;
clearInterval(keeper);
console.log(`answer ${asking.datagrams.at(0).length}`);
asking.release();

if (process.argv.at(-1) === "again") {
  for (const each of all) {
    each.ref();
    each.ref(); // it is no count
    each.unref();
  }
  handled.ref();
}
await one.close(); // and what is closed counts no more
one.unref();
one.ref();
console.log(`port ${handled.localAddress.port}`);

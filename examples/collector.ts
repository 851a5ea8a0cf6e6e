// deno run --allow-ffi --allow-net examples/collector.ts   or   bun examples/collector.ts

/**
 * Collects what programs report by UDP, at localhost:8125 unless told otherwise: lines of syslog
 * (RFC 5424, RFC 3164) and metrics of statsd. It prints each line of syslog, and sums of the metrics
 * when it is stopped, or each second. Formats are in examples/collector/; here is how batches come.
 *
 * @module
 */
import process from "node:process";
import { setInterval } from "node:timers";
import { readSyslog } from "./collector/syslog.ts";
import { Statsd } from "./collector/statsd.ts";
import { listenDatagrams, readArguments, stopAsked } from "./command_line.ts";

const USAGE = `Usage: collector.ts [HOST:PORT] [--every]

  --every       prints the sums each second, too`;

const { at, values } = readArguments(USAGE, 8125, { every: { type: "boolean" } });
const { stdout } = process;
const gone = new Promise((resolve) => stdout.on("error", resolve)); // whoever has read it
const stopped = Promise.race([stopAsked(), gone]);

const statsd = new Statsd();
const decoder = new TextDecoder();
/** One write for all lines of a batch. */
let lines = "";

const socket = listenDatagrams(at, {
  receiveBufferBytes: 4 << 20, // bursts are what programs under trouble send
  onDatagrams(datagrams) {
    for (const { bytes, remoteAddress } of datagrams) {
      const text = decoder.decode(bytes);
      const entry = readSyslog(text);
      if (entry === null) statsd.add(text);
      else lines += `${remoteAddress.hostname} ${entry.severity} ${entry.text}\n`;
    }
    if (lines !== "" && !stdout.write(lines)) wait();
    lines = "";
  },
}, (host, port) => `logger --server ${host} --port ${port} --udp hello`);

/** Leaves what comes with the kernel while our own output is not taken: it has a bound, and counts. */
function wait(): void {
  socket.pauseRead();
  stdout.once("drain", () => socket.fd >= 0 && socket.resumeRead());
}

function report(): void {
  for (const line of statsd.lines()) console.log(line);
  // The kernel drops what does not fit its buffer, and says at once how many.
  const { droppedByKernel } = socket.metrics().received;
  if (droppedByKernel > 0) console.log(`the kernel has dropped ${droppedByKernel} datagrams`);
}

if (values.every) setInterval(report, 1000).unref();
await stopped;
report();
await socket.close();
console.log("Stopped");

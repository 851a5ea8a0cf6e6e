// deno run --allow-ffi --allow-net examples/collector.ts   or   bun examples/collector.ts

/**
 * Collects what programs report by UDP: lines of syslog (RFC 5424, RFC 3164) and metrics of statsd.
 * It prints each line of syslog, and sums of the metrics when it is stopped, or each second with
 * `--every`. `collector.ts [HOST:PORT] [--every]`; at localhost:8125 unless told otherwise.
 *
 * Try it with `logger --server localhost --port 8125 --udp hello`, or with `echo "hits:1|c" | nc -u
 * -w0 localhost 8125`.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { setInterval } from "node:timers";
import { parseArgs } from "node:util";
import { createDatagramSocket } from "../mod.ts";
import { readSyslog } from "./collector/syslog.ts";
import { Statsd } from "./collector/statsd.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { every: { type: "boolean" } },
});

const statsd = new Statsd();
const decoder = new TextDecoder();
/** One write for all lines of a batch. */
let lines = "";

const socket = createDatagramSocket("udp", positionals[0] ?? "localhost:8125", {
  receiveBufferBytes: 4 << 20, // bursts are what programs under trouble send
  onDatagrams(datagrams) {
    for (const { bytes, remoteAddress } of datagrams) {
      const text = decoder.decode(bytes);
      const entry = readSyslog(text);
      if (entry === null) statsd.add(text);
      else lines += `${remoteAddress.hostname} ${entry.severity} ${entry.text}\n`;
    }
    if (lines !== "") process.stdout.write(lines);
    lines = "";
  },
});

function report(): void {
  for (const line of statsd.lines()) console.log(line);
  // The kernel drops what does not fit its buffer, and says at once how many.
  const { droppedByKernel } = socket.metrics().received;
  if (droppedByKernel > 0) console.log(`the kernel has dropped ${droppedByKernel} datagrams`);
}

if (values.every) setInterval(report, 1000).unref();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    report();
    void socket.close();
  });
}

const { hostname, port } = socket.localAddress;
console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
await socket.closed;

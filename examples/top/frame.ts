/**
 * The screen of examples/top.ts: two snapshots of a server as lines of text.
 *
 * @module
 */
import { type ConnectionMetrics, type Metrics, percentileMicros } from "../../mod.ts";
import type { Snapshot } from "../metered_server.ts";

const BARS = "▁▂▃▄▅▆▇█";
const CONNECTIONS_SHOWN = 20;

function total({ metrics }: Snapshot): Metrics {
  return "total" in metrics ? metrics.total : metrics;
}

/** 1234567 as "1.23 M": three digits that say something. */
function short(value: number, unit = ""): string {
  let rest = value;
  let prefix = "";
  for (const next of ["k", "M", "G", "T"]) {
    if (rest < 999.5) break;
    rest /= 1000;
    prefix = next;
  }
  const digits = Number.isInteger(rest) || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${prefix}${unit}`.trimEnd();
}

/** The time that a process has been running. */
function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24];
  const time = `${Math.floor(seconds / 60) % 60} min ${seconds % 60} s`;
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${time}` : time;
}

/** A column for each size of a batch, as high as it is frequent. */
function histogram(now: readonly number[], then: readonly number[]): string {
  const waits = now.map((count, i) => count - then[i]!);
  const most = Math.max(...waits);
  const last = waits.findLastIndex((count) => count > 0);
  if (most === 0) return "none";
  return waits.slice(0, last + 1).map((count, bits) => {
    const bar = count === 0 ? "·" : BARS[Math.ceil(count / most * BARS.length) - 1];
    return `${bits < 2 ? bits : `${2 ** (bits - 1)}+`}${bar}`;
  }).join(" ");
}

function list(counts: Record<string, number>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${name} ${short(count)}`).join("   ") || "none";
}

function peerOf({ remoteAddress: at }: ConnectionMetrics): string {
  return at.transport === "tcp" ? `${at.hostname}:${at.port}` : at.path || "unix";
}

/** The connections with the most bytes moved between both, and how much that was. */
function connectionLines(now: Snapshot, then: Snapshot, seconds: number): string[] {
  const keyOf = (one: ConnectionMetrics) => `${one.fd} ${peerOf(one)}`;
  const before = new Map(then.loop?.connections.map((one) => [keyOf(one), one]));
  const rows = (now.loop?.connections ?? []).map((one) => {
    const old = before.get(keyOf(one));
    const received = (one.receivedBytes - (old?.receivedBytes ?? 0)) / seconds;
    const sent = (one.sentBytes - (old?.sentBytes ?? 0)) / seconds;
    return { one, received, sent };
  });
  rows.sort((a, b) => b.received + b.sent - a.received - a.sent);
  const cells = rows.slice(0, CONNECTIONS_SHOWN).map(({ one, received, sent }) => [
    String(one.fd),
    peerOf(one),
    one.isPiped ? "piped" : one.isReadPaused ? "paused" : one.state,
    short(received, "B/s"),
    short(sent, "B/s"),
    short(one.unread.bytes, "B"),
    short(one.unsent.bytes, "B"),
    one.tcp === null ? "-" : time(one.tcp.rttMicros),
    one.tcp === null ? "-" : String(one.tcp.retransmits),
  ]);
  if (cells.length === 0) return [];
  const head = ["FD", "PEER", "STATE", "IN", "OUT", "UNREAD", "UNSENT", "RTT", "RESENT"];
  const widths = head.map((name, i) =>
    Math.max(name.length, ...cells.map((row) => row[i]!.length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) => i === 1 || i === 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))
      .join("  ");
  return ["", ...[head, ...cells].map(line)];
}

function pollerLine({ metrics }: Snapshot): string[] {
  if (!("pollers" in metrics)) return [];
  const each = metrics.pollers.map(({ index, connectionCount, metrics: its }) =>
    `${index}: ${short(connectionCount)}${its === null ? " (no answer)" : ""}`
  );
  return [`pollers      ${each.join("   ")}`];
}

/** Datagrams, of a server that has sockets for some. */
function datagramLine(
  { datagrams }: Metrics,
  rate: (read: (of: Metrics) => number, unit?: string) => string,
): string[] {
  if (datagrams.opened === 0) return [];
  const { droppedFull, droppedExpired, droppedRefused, droppedByKernel } = datagrams;
  const dropped = droppedFull + droppedExpired + droppedRefused;
  return [
    `datagrams    ${short(datagrams.activeCount)} sockets   ` +
    `${rate((of) => of.datagrams.receivedCount)} in   ` +
    `${rate((of) => of.datagrams.sentCount)} out   ${short(dropped)} dropped   ` +
    `${short(droppedByKernel)} by the kernel`,
  ];
}

/** A time in microseconds. */
function time(micros: number): string {
  return micros < 1000
    ? `${Number(micros.toPrecision(3))} µs`
    : `${Number((micros / 1000).toPrecision(3))} ms`;
}

/** Times since the last frame, and the state of the network, of a server that measures. */
function measuredLines(now: Metrics, then: Metrics, seconds: number): string[] {
  const { latency, tcp } = now;
  if (latency === null || tcp === null) return [];
  const row = (label: string, name: "handler" | "wait" | "turn" | "gap") => {
    const of = (percent: number) =>
      time(percentileMicros(percent, latency[name], then.latency?.[name]));
    return `${label}p50 ${of(50)}   p99 ${of(99)}   p99.9 ${of(99.9)}   longest ever ${
      time(latency[name].maxMicros)
    }`;
  };
  const share = (micros: number) =>
    `${(tcp.busyMicros > 0 ? micros / tcp.busyMicros * 100 : 0).toFixed(0)} %`;
  return [
    `handlers     ${
      short((latency.handler.count - (then.latency?.handler.count ?? 0)) / seconds)
    }/s   ` +
    row("", "handler"),
    row("queue        ", "wait"),
    row("turns        ", "turn"),
    row("between      ", "gap"),
    `network      rtt p50 ${time(tcp.rtt.p50Micros)}   p99 ${time(tcp.rtt.p99Micros)}   ` +
    `${short(tcp.retransmits)} segments resent   ` +
    `${short(tcp.deliveryBytesPerSecond, "B")}/s delivered   held up by peers ${
      share(tcp.receiveWindowLimitedMicros)
    }, ` +
    `by send buffers ${share(tcp.sendBufferLimitedMicros)}   of ${
      short(tcp.sampledCount)
    } connections`,
  ];
}

/** The lines of a frame: what happened from one snapshot to the next, and what there is now. */
export function drawFrame(now: Snapshot, then: Snapshot, title: string): string[] {
  const [a, b] = [total(now), total(then)];
  const seconds = Math.max(0.001, (a.takenAtMs - b.takenAtMs) / 1000);
  const rate = (read: (of: Metrics) => number, unit = "") =>
    `${short((read(a) - read(b)) / seconds, unit)}/s`;
  const cpu = (of: Metrics) => of.process.userMicros + of.process.systemMicros;
  const calls = (of: Metrics) => of.calls.receive.calls + of.calls.send.calls;
  const queues = now.loop?.listeners.map(({ queue }) => queue).filter((queue) => queue !== null);
  const waiting = queues?.map((one) =>
    `   ${one!.waitingCount} of ${one!.waitingMax} in the queue`
  );
  const { memory, poller, connections, process } = a;
  return [
    `netpoll top  ${title}   pid ${process.pid}, up ${age(process.uptimeMs)}`,
    "",
    `connections  ${short(connections.activeCount)} open   ` +
    `${rate((of) => of.connections.accepted)} accepted   ` +
    `${rate((of) => of.connections.lost)} lost   ${short(connections.refused)} refused` +
    (waiting?.join("") ?? ""),
    ...pollerLine(now),
    `traffic      ${rate((of) => of.bytes.received, "B")} in   ${
      rate((of) => of.bytes.sent, "B")
    } out   ` +
    `${rate(calls)} calls   ${rate((of) => of.calls.receive.notReady)} for nothing`,
    ...datagramLine(a, rate),
    `thread       ${((cpu(a) - cpu(b)) / seconds / 1e4).toFixed(0)} % CPU   ` +
    `${rate((of) => of.poller.turns)} turns   ${rate((of) => of.poller.hotWaits)} hot   ` +
    `${rate((of) => of.poller.warmWaits)} warm   ${rate((of) => of.poller.sleeps)} cold   ` +
    `${rate((of) => of.poller.wakes)} wakes`,
    `events/wait  ${histogram(poller.batches, b.poller.batches)}`,
    ...measuredLines(a, b, seconds),
    `memory       ${short(process.residentBytes, "B")} resident   ` +
    `${short(process.heapBytes, "B")} heap   ${memory.wrappedSlabCount} slabs in use   ` +
    `${short(memory.blockBytes, "B")} of ${short(memory.slabBytes, "B")} in blocks   ` +
    `${short(memory.pinnedBytes, "B")} pinned`,
    `waiting      ${short(poller.timerCount)} timers   ${poller.againCount} again   ` +
    `${poller.untoldCount} untold   ${poller.outsideWaitCount} outside`,
    `timeouts     ${list(a.timeouts)}`,
    `limits       ${list({ ...a.limits })}`,
    `errors       ${list(a.errors)}`,
    ...connectionLines(now, then, seconds),
  ];
}

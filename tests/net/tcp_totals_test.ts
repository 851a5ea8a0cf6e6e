import { assert, assertEquals, assertGreater } from "@std/assert";
import { test } from "node:test";
import { configure, createListener, metrics, prometheus, socketPair } from "../../mod.ts";
import { mergeTcp, tcpTotals } from "../../src/net/tcp_totals.ts";
import { tcpInfo } from "../../src/net/tcp_info.ts";
import { closeAll, receive, send, tcpPair } from "../support/pair.ts";
import { until } from "../support/until.ts";

test("tcpTotals() sums what the kernel knows of each connection, and leaves out what is none", async () => {
  const [a, b] = await tcpPair();
  const [c, d] = socketPair();
  using listener = createListener("tcp", "127.0.0.1:0");
  await send(a, "hello");
  await receive(b, 5);
  await until(() => tcpInfo(a.fd)!.unackedCount === 0, "it is confirmed");
  const totals = tcpTotals([a.fd, b.fd, c.fd, d.fd, listener.fd, -1]);
  const [one, two] = [tcpInfo(a.fd)!, tcpInfo(b.fd)!];
  assertEquals([totals.sampledCount, totals.rtt.count], [2, 2]);
  assertEquals(totals.rtt.sumMicros, one.rttMicros + two.rttMicros);
  assertEquals(totals.busyMicros, one.busyMicros! + two.busyMicros!);
  assertEquals(totals.retransmits, one.retransmits + two.retransmits);
  assertEquals(mergeTcp([totals, null, tcpTotals([])]), totals);
  assertEquals(mergeTcp([totals, totals])!.sampledCount, 4);
  assertEquals([mergeTcp([]), mergeTcp([null])], [null, null]);
  await closeAll(a, b, c, d);
});

test("tcpTotals() has the time that a peer took no more, and that more was there to be sent", async () => {
  const [a, b] = await tcpPair();
  b.pauseRead();
  a.writer.writeBinary(new Uint8Array(8 << 20));
  const flushed = a.writer.flush();
  await until(() => tcpTotals([a.fd]).receiveWindowLimitedMicros > 0, "the window is full");
  const { busyMicros, receiveWindowLimitedMicros, unsentBytes, deliveryBytesPerSecond } = tcpTotals(
    [
      a.fd,
    ],
  );
  assertGreater(busyMicros, 0);
  assert(receiveWindowLimitedMicros <= tcpTotals([a.fd]).busyMicros);
  assertGreater(unsentBytes, 0);
  assertGreater(deliveryBytesPerSecond, 0);
  b.reset();
  await flushed.catch(() => {});
  await closeAll(a, b);
});

test("metrics().tcp is null unless measured, has the open connections, and is there for Prometheus", async () => {
  assertEquals(metrics().tcp, null);
  assert(!prometheus(metrics()).includes("netpoll_tcp_"));
  const [a, b] = await tcpPair();
  configure({ measure: true });
  try {
    await send(a, "hello");
    await receive(b, 5);
    const now = metrics();
    assertEquals(now.tcp!.sampledCount, 2);
    const text = prometheus(now);
    assert(text.includes("\nnetpoll_tcp_sampled 2\n"), text);
    assert(/^netpoll_tcp_rtt_seconds\{quantile="0.99"\} 0\.\d+$/m.test(text), text);
    await closeAll(a, b);
    await until(() => metrics().tcp!.sampledCount === 0, "both have gone");
  } finally {
    configure({ measure: false });
  }
});

import { assert, assertEquals, assertMatch } from "@std/assert";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { start } from "../support/child.ts";
import { portOf } from "../support/example.ts";

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code?: number; message?: string };
}

/** Sends lines, one after the other was answered, to the example. All spans that it has told of. */
async function spansOf(...lines: string[]): Promise<Span[]> {
  const spans: Span[] = [];
  const collector = createServer(async (request, response) => {
    assertEquals([request.method, request.url], ["POST", "/v1/traces"]);
    let body = "";
    for await (const chunk of request) body += chunk;
    for (const { scopeSpans } of JSON.parse(body).resourceSpans) {
      for (const each of scopeSpans) spans.push(...each.spans);
    }
    response.setHeader("Content-Type", "application/json").end("{}");
  });
  await once(collector.listen(0, "127.0.0.1"), "listening");
  const { port } = collector.address() as AddressInfo;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  const server = start("examples/tracing.ts", { args: ["localhost:0"], env });
  try {
    const at = portOf((await server.find(/Listening on (.*)\n/))[1]!);
    const client = connect(at, "localhost");
    await once(client, "connect");
    for (const line of lines) {
      client.write(`${line}\n`);
      await once(client, line === "" ? "close" : "data");
    }
    client.destroy();
    const { code, stderr } = await server.stop("SIGINT");
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  } finally {
    await server.stop();
    collector.closeAllConnections();
    collector.close();
  }
  return spans;
}

test("examples/tracing.ts makes one trace of each line, over both servers", async () => {
  const spans = await spansOf("one", "two");
  const roots = spans.filter((span) => span.parentSpanId === "");
  assertEquals(roots.length, 2);
  assertEquals(spans.length, 6);
  assertEquals(new Set(spans.map((span) => span.spanId)).size, 6);
  for (const root of roots) {
    assertMatch(root.traceId, /^[0-9a-f]{32}$/);
    const inside = spans.filter((span) => span.parentSpanId === root.spanId);
    assertEquals(inside.map(({ name, kind }) => `${name} ${kind}`).sort(), ["dial 3", "request 2"]);
    for (const span of inside) {
      assertEquals(span.traceId, root.traceId);
      assert(BigInt(span.startTimeUnixNano) >= BigInt(root.startTimeUnixNano));
      assert(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
    }
  }
});

test("examples/tracing.ts tells of failures, and ends although its collector has gone", async () => {
  const spans = await spansOf("");
  const failed = spans.filter(({ status }) => status.code === 2);
  assertEquals(failed.map(({ name }) => name), ["request", "request"]);
  assertMatch(failed[0]!.status.message!, /The line is empty/);
  assertMatch(failed[1]!.status.message!, /^EofError: /);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
  const server = start("examples/tracing.ts", { args: ["localhost:0"], env });
  const client = connect(portOf((await server.find(/Listening on (.*)\n/))[1]!), "localhost");
  client.write("one\n");
  await once(client, "data");
  client.destroy();
  const { code, stderr } = await server.stop("SIGINT");
  assertEquals(code, 0);
  assertMatch(stderr, /^Cannot send spans to http:\/\/127\.0\.0\.1:1: /);
});

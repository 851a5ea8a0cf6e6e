/**
 * Spans of what the channels of netpoll tell, for examples/tracing.ts.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { channel, subscribe } from "node:diagnostics_channel";
import { clearInterval, setInterval } from "node:timers";
import type { DialMessage, RequestMessage } from "../../mod.ts";

const EXPORT_MS = 1000;
/** More are dropped while nobody takes them. */
const WAITING_MAX = 10_000;

/** Kinds of spans, as OTLP numbers them. */
const SERVER = 2;
const CLIENT = 3;

/** Something that took time. */
interface Span {
  traceId: string;
  readonly spanId: string;
  parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
}

/** A span as OTLP has it in JSON. */
type Finished = Record<string, unknown>;

const current = new AsyncLocalStorage<Span>();
const spans = new WeakMap<object, Span>();

function begin(message: object, name: string, kind: number, parent?: Span): Span {
  const span = {
    traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    parentSpanId: parent?.spanId ?? "",
    name,
    kind,
    startMs: performance.timeOrigin + performance.now(),
  };
  spans.set(message, span);
  return span;
}

/** The span that this code runs in, for another process; "" where there is none. */
export function traceparent(): string {
  const span = current.getStore();
  return span === undefined ? "" : `00-${span.traceId}-${span.spanId}-01`;
}

/** The span that this code runs in belongs to a trace of another process. */
export function continueTrace(header: string): void {
  const [, traceId, spanId] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(header) ?? [];
  const span = current.getStore();
  if (span !== undefined && traceId !== undefined) {
    Object.assign(span, { traceId, parentSpanId: spanId });
  }
}

/** Milliseconds as nanoseconds: a double has not so many digits. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}

function finish(message: DialMessage | RequestMessage, numbers: Record<string, number>): Finished {
  const { startMs, ...span } = spans.get(message)!;
  const peer = message.connection?.remoteAddress;
  const attributes = [
    ...Object.entries(numbers).map(([key, value]) => ({ key, value: { doubleValue: value } })),
    ...peer?.transport === "tcp"
      ? [
        { key: "network.peer.address", value: { stringValue: peer.hostname } },
        { key: "network.peer.port", value: { intValue: `${peer.port}` } },
      ]
      : [],
  ];
  return {
    ...span,
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(startMs + message.durationMs!),
    attributes,
    status: "error" in message ? { code: 2, message: `${message.error}` } : {},
  };
}

function print(span: Finished, durationMs: number): void {
  const { traceId, spanId, parentSpanId, name, status } = span;
  const failure = (status as { message?: string }).message;
  console.log(
    `${traceId} ${spanId} in ${parentSpanId || "nothing"}: ${name}, ${durationMs.toFixed(2)} ms` +
      (failure === undefined ? "" : `, failed: ${failure}`),
  );
}

/** Makes spans of what happens from now on, and prints them, or sends them to an endpoint. */
export function startTracing(service: string, endpoint?: string): { flush(): Promise<void> } {
  let waiting: Finished[] = [];
  const add = (message: DialMessage | RequestMessage, numbers: Record<string, number> = {}) => {
    if (!spans.has(message)) return; // it began before us
    const span = finish(message, numbers);
    if (endpoint === undefined) print(span, message.durationMs!);
    else if (waiting.length < WAITING_MAX) waiting.push(span);
  };
  const bind = (name: string, toSpan: (message: unknown) => Span) =>
    channel(name).bindStore(current as AsyncLocalStorage<unknown>, toSpan);
  // The poller called the handler, and is no part of the trace.
  bind("netpoll:request:start", (message) => begin(message as object, "request", SERVER));
  bind("netpoll:dial:start", (message) => {
    return begin(message as object, "dial", CLIENT, current.getStore());
  });
  subscribe("netpoll:dial:end", (message) => add(message as DialMessage));
  subscribe("netpoll:request:end", (message) => {
    const request = message as RequestMessage;
    add(request, { "netpoll.wait_ms": request.waitMs, "netpoll.read_bytes": request.readBytes });
  });
  const send = async () => {
    if (waiting.length === 0) return;
    const resource = {
      attributes: [{ key: "service.name", value: { stringValue: service } }],
    };
    const scopeSpans = [{ scope: { name: "netpoll" }, spans: waiting }];
    waiting = [];
    const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans }] });
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(5000);
    await fetch(`${endpoint}/v1/traces`, { method: "POST", headers, body, signal })
      .then((response) => response.ok ? response.text() : Promise.reject(response.status))
      .catch((error) => console.error(`Cannot send spans to ${endpoint}: ${error}`));
  };
  const timer = setInterval(send, EXPORT_MS);
  timer.unref();
  return {
    async flush() {
      clearInterval(timer);
      await send();
    },
  };
}

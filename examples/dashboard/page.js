/** Shows the events of examples/dashboard.ts: figures, four plots by Apache ECharts, three tables. */
const { echarts } = globalThis;
const POINTS_MAX = 180;
const NONE = "no data";

/** 1234567 as "1.23 M": three digits that say something. */
function short(value, unit = "") {
  if (value === null || value === undefined) return NONE;
  const prefixes = ["", "k", "M", "G", "T"];
  let at = 0;
  while (value >= 999.5 && at < prefixes.length - 1) [value, at] = [value / 1000, at + 1];
  const digits = Number.isInteger(value) || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${prefixes[at]}${unit}`.trim();
}
/** Microseconds, in the unit that fits. */
function time(micros) {
  if (micros === null || micros === undefined) return NONE;
  const [value, unit] = micros < 1000
    ? [micros, "µs"]
    : micros < 1e6
    ? [micros / 1e3, "ms"]
    : [micros / 1e6, "s"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}
function age(ms) {
  const s = Math.floor(ms / 1000);
  return s < 60
    ? `${s} s`
    : s < 3600
    ? `${Math.floor(s / 60)} min`
    : s < 86400
    ? `${Math.floor(s / 3600)} h`
    : `${Math.floor(s / 86400)} d`;
}
const bytes = (value) => short(value, "B");
const byteRate = (value) => short(value, "B/s");
const rate = (value) => short(value, "/s");

const FIGURES = [
  [
    "Open connections",
    (f) => [short(f.connections.open), `${rate(f.connections.acceptedPerSecond)} accepted`],
  ],
  ["Handler calls", (f) => [rate(f.callsPerSecond), `99 % in ${time(f.times.handler?.p99)}`]],
  ["Traffic in", (f) => [byteRate(f.receivedBytesPerSecond), "received"]],
  ["Traffic out", (f) => [byteRate(f.sentBytesPerSecond), "sent"]],
  [
    "Round trip, half below",
    (f) =>
      f.tcp?.sampled
        ? [time(f.tcp.rttP50), `99 %: ${time(f.tcp.rttP99)}`]
        : [NONE, "no TCP connection"],
  ],
  [
    "Sent again",
    (f) =>
      f.tcp?.sampled
        ? [short(f.tcp.retransmits), `segments, ${f.tcp.sampled} peers`]
        : [NONE, "no TCP connection"],
  ],
];
/** Title, how a value is written, and the lines: name, value of a frame. */
const PLOTS = [
  ["Handler calls a second", rate, [["calls", (f) => f.callsPerSecond]]],
  ["Traffic", byteRate, [["in", (f) => f.receivedBytesPerSecond], [
    "out",
    (f) => f.sentBytesPerSecond,
  ]]],
  ["Times that 99 % stayed below", time, [
    ["handler", (f) => f.times.handler?.p99],
    ["wait before it", (f) => f.times.wait?.p99],
    ["turn", (f) => f.times.turn?.p99],
  ]],
  ["Memory of the process", bytes, [
    ["resident", (f) => f.memory.residentBytes],
    ["JavaScript heaps", (f) => f.memory.heapBytes],
    ["buffers", (f) => f.memory.blockBytes],
  ]],
];
const COLOURS = ["--a", "--b", "--c"];
const DASHES = ["solid", [6, 3], [2, 2]]; // lines differ by more than their colour
const $ = (id) => document.getElementById(id);
const colour = (name) => {
  const probe = Object.assign(document.body.appendChild(document.createElement("i")), {
    hidden: true,
  });
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color; // light-dark() is resolved in colours only
  probe.remove();
  return found;
};
function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  made.append(...[content].flat());
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
function key(i) {
  const dash = DASHES[i] === "solid" ? "" : ` stroke-dasharray="${DASHES[i].join(" ")}"`;
  const holder = document.createElement("template");
  holder.innerHTML =
    `<svg class="key" viewBox="0 0 22 8" aria-hidden="true"><path d="M0 4H22" stroke="var(${
      COLOURS[i]
    })" stroke-width="2"${dash}/></svg>`;
  return holder.content.firstChild;
}

const values = FIGURES.map(([name]) => {
  const value = element("dd", [NONE, element("small")]);
  $("figures").append(element("div", [element("dt", name), value]));
  return value;
});
const plots = PLOTS.map(([title, write, lines]) => {
  const legend = lines.map(([name], i) => [name, element("b", NONE), i]);
  const canvas = element("div", "", { class: "plot", role: "img", "aria-label": title });
  const keys = legend.map(([name, now, i]) => element("span", [key(i), `${name} `, now]));
  $("plots").append(
    element("figure", [element("figcaption", [element("strong", title), ...keys]), canvas]),
  );
  return {
    title,
    write,
    lines,
    legend,
    canvas,
    chart: echarts.init(canvas),
    data: lines.map(() => []),
  };
});

function style({ chart, lines, data, write }) {
  const [soft, line, card, text] = ["--soft", "--line", "--card", "--text"].map(colour);
  const label = { color: soft, fontSize: 11 };
  chart.setOption({
    animation: false,
    grid: { left: 64, right: 12, top: 10, bottom: 22 },
    xAxis: {
      type: "time",
      axisLabel: { ...label, hideOverlap: true, formatter: "{HH}:{mm}:{ss}" },
      axisLine: { lineStyle: { color: line } },
      splitNumber: 4,
    },
    yAxis: {
      type: "value",
      min: 0,
      splitNumber: 3,
      axisLabel: { ...label, formatter: write },
      splitLine: { lineStyle: { color: line } },
    },
    tooltip: {
      trigger: "axis",
      confine: true,
      valueFormatter: write,
      backgroundColor: card,
      borderColor: line,
      textStyle: { color: text, fontSize: 12 },
    },
    series: lines.map(([name], i) => ({
      name,
      type: "line",
      showSymbol: false,
      connectNulls: false,
      data: data[i],
      color: colour(COLOURS[i]),
      lineStyle: { width: 2, type: DASHES[i] },
    })),
  });
}
function draw(frame) {
  for (const { title, write, lines, legend, canvas, chart, data } of plots) {
    lines.forEach(([, read], i) => {
      const value = frame && (read(frame) ?? null);
      data[i].push([frame?.atMs ?? Date.now(), value]);
      if (data[i].length > POINTS_MAX) data[i].shift();
      legend[i][1].textContent = write(value);
    });
    canvas.setAttribute(
      "aria-label",
      `${title}: ${legend.map(([name, now]) => `${name} ${now.textContent}`).join(", ")}`,
    );
    chart.setOption({ series: data.map((each) => ({ data: each })) });
  }
}
const fill = (id, rows) =>
  $(id).tBodies[0].replaceChildren(
    ...rows.map(([head, ...cells]) =>
      element("tr", [
        element("th", head, { scope: "row" }),
        ...cells.map((cell) => cell instanceof Node ? cell : element("td", cell)),
      ])
    ),
  );
function show(frame) {
  $("process").textContent = `process ${frame.pid}, up ${age(frame.uptimeMs)}, a look every ${
    time(frame.intervalMs * 1000)
  }`;
  FIGURES.forEach(([, read], i) => {
    const [value, more] = read(frame);
    values[i].replaceChildren(value, element("small", more));
  });
  const { handler, wait, turn } = frame.times;
  fill(
    "times",
    [["Handler", handler], ["Wait before it", wait], ["Turn of a thread", turn]].map((
      [name, of],
    ) => [name, ...["p50", "p99", "p999", "longest"].map((each) => time(of?.[each]))]),
  );
  const all = frame.pollers.reduce((sum, { callsPerSecond }) => sum + callsPerSecond, 0);
  fill(
    "pollers",
    frame.pollers.map(({ connections, callsPerSecond: calls }, i) => {
      const share = all > 0 && calls !== null ? Math.round(calls / all * 100) : null;
      const meter = element("meter", "", {
        max: 100,
        value: share ?? 0,
        "aria-label": `share of thread ${i}`,
      });
      return [
        `${i}`,
        short(connections),
        calls === null ? "no answer" : rate(calls),
        element("td", [meter, share === null ? " –" : ` ${share} %`]),
      ];
    }),
  );
  fill(
    "troubles",
    frame.troubles.map((
      { name, kinds, recent, total },
    ) => [
      kinds === null ? name : [name, element("small", kinds)],
      element("td", short(recent), recent > 0 ? { class: "bad" } : {}),
      short(total),
    ]),
  );
}
/** Says it only when it changes: a reader of screens would read it each second. */
function tell(text, kind) {
  if ($("state").textContent !== text) {
    Object.assign($("state"), { textContent: text, className: kind });
  }
  document.body.classList.toggle("stale", kind === "gone");
}

plots.forEach(style);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(style));
new ResizeObserver(() => plots.forEach(({ chart }) => chart.resize())).observe($("plots"));
const events = new EventSource("events");
events.addEventListener("open", () => tell("Connected, no data yet", ""));
events.addEventListener("error", () => {
  if (!document.body.classList.contains("stale")) draw(null); // a gap in the lines
  tell("The server does not answer; trying again. What you see is old.", "gone");
});
events.addEventListener("message", ({ data }) => {
  const frame = JSON.parse(data);
  show(frame);
  document.querySelector("main").hidden = false; // all of it at once, so that nothing moves
  draw(frame);
  tell("Live", "live");
});

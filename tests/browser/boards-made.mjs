// Dashboards of the tests, in Grafana's format. Their values are made of the clock, so that they need no collected data.

/** What must stay text wherever it stands. */
export const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  '"><script>alert(2)</script>',
  "'><svg onload=alert(3)>",
  "javascript:alert(6)",
  '" autofocus onfocus=alert(7) x="',
  "<template hx type=partial hx-target=body><h1>owned</h1></template>",
  "${__from}{{x}}`${alert(8)}`",
];

const source = { type: "prometheus", uid: "prometheus" };
let next = 1;
let [x, y] = [0, 0];

/** A panel of 8 by 7 cells behind the one before. */
function panel(type, title, targets, more = {}) {
  const gridPos = { x, y, w: 8, h: 7 };
  [x, y] = x === 16 ? [0, y + 7] : [x + 8, y];
  const asked = targets.map((target, i) => ({ refId: String.fromCharCode(65 + i), datasource: source, ...(typeof target === "string" ? { expr: target } : target) }));
  return { id: next++, type, title, gridPos, datasource: source, targets: asked, fieldConfig: { defaults: {}, overrides: [] }, options: {}, ...more };
}

const wave = (name, period, height) => ({ expr: `sin(vector(time()) / ${period}) * ${height} + ${height * 1.25}`, legendFormat: name });
const named = (name, value, label, text) => `label_replace(vector(${value}), "${label}", "${text}", "", "")`;
const rows = Array.from({ length: 30 }, (_, i) => named("row", (i * 7) % 30, "row", `row-${i}`)).join(" or ");
const limits = { mode: "absolute", steps: [{ color: "green", value: null }, { color: "orange", value: 60 }, { color: "red", value: 85 }] };
const custom = (settings, defaults = {}) => ({ defaults: { custom: settings, ...defaults }, overrides: [] });
const bucket = (le, share) => ({ expr: `label_replace(abs(sin(vector(time()) / 300)) * ${share}, "le", "${le}", "", "")`, legendFormat: "{{le}}", format: "heatmap" });

function panels() {
  [next, x, y] = [1, 0, 0];
  const legend = (mode, calcs) => ({ legend: { displayMode: mode, placement: "bottom", showLegend: true, calcs }, tooltip: { mode: "multi", sort: "desc" } });
  return [
    panel("timeseries", "Lines", [wave("wave a", 600, 123456.789), wave("wave b", 900, 98765.4321)], { options: legend("list", ["lastNotNull"]), fieldConfig: custom({ fillOpacity: 10 }, { unit: "bytes" }) }),
    panel("timeseries", "Stacked", [wave("low", 500, 10), wave("middle", 700, 20), wave("high", 800, 30)], { options: legend("table", ["min", "max", "mean"]), fieldConfig: custom({ stacking: { mode: "normal", group: "A" }, fillOpacity: 40 }) }),
    panel("timeseries", "Limits", [wave("share", 400, 40)], { options: legend("list", []), fieldConfig: custom({ thresholdsStyle: { mode: "line+area" }, gradientMode: "opacity", fillOpacity: 30, lineInterpolation: "smooth" }, { thresholds: limits, unit: "percent", max: 100 }) }),
    panel("stat", "Picked $pick", ["time() % 100"], { fieldConfig: { defaults: { unit: "percent", thresholds: limits }, overrides: [] }, options: { colorMode: "value", graphMode: "area", reduceOptions: { calcs: ["lastNotNull"] } } }),
    panel("gauge", "Round", ["time() % 100"], { fieldConfig: { defaults: { unit: "percent", min: 0, max: 100, thresholds: limits }, overrides: [] } }),
    panel("bargauge", "Bars", [{ expr: [1, 2, 3].map((i) => named("x", i * 30, "disk", `sd${i}`)).join(" or "), legendFormat: "{{disk}}" }], { fieldConfig: { defaults: { max: 100, min: 0, thresholds: limits }, overrides: [] }, options: { displayMode: "lcd", orientation: "horizontal" } }),
    panel("table", "Rows", [{ expr: rows, format: "table", instant: true }], {}),
    panel("heatmap", "Buckets", [bucket("0.1", 3), bucket("0.5", 9), bucket("1", 14), bucket("+Inf", 15)], { options: { calculate: false, yAxis: { unit: "s" }, color: { scheme: "Oranges", steps: 32, mode: "scheme" }, legend: { show: true }, tooltip: { show: true } } }),
    panel("piechart", "Parts", [{ expr: [1, 2, 3].map((i) => named("x", i, "verdict", `verdict-${i}`)).join(" or "), legendFormat: "{{verdict}}" }], { options: { pieType: "donut", legend: { displayMode: "table", placement: "right", showLegend: true, values: ["value", "percent"] }, reduceOptions: { calcs: ["lastNotNull"] } } }),
    panel("state-timeline", "States", [{ expr: "floor(vector(time()) / 900) % 3", legendFormat: "agent" }], { fieldConfig: { defaults: { mappings: [{ type: "value", options: { 0: { text: "Down", color: "red" }, 1: { text: "Up", color: "green" }, 2: { text: "Waiting", color: "orange" } } }] }, overrides: [] }, options: { showValue: "auto", mergeValues: true, legend: { displayMode: "list", placement: "bottom", showLegend: true } } }),
    panel("alertlist", "Alerts", [], { options: { maxItems: 20, stateFilter: { firing: true, pending: true, normal: true } } }),
    panel("text", "Words", [], { options: { mode: "markdown", content: "A text with words **set in bold** and a [link](/targets)." } }),
  ];
}

const shell = { schemaVersion: 39, timezone: "browser", time: { from: "now-3h", to: "now" }, refresh: "", editable: true, annotations: { list: [] }, links: [], tags: ["tests"] };

export const everything = {
  ...shell,
  uid: "browser-everything",
  title: "Every kind of panel",
  graphTooltip: 2,
  templating: {
    list: [
      { type: "custom", name: "pick", label: "Pick", query: "one,two,three", current: { text: "one", value: "one" }, options: [], multi: false, includeAll: false },
      { type: "custom", name: "many", label: "Many", query: "alpha,beta,gamma", current: { text: ["alpha"], value: ["alpha"] }, options: [], multi: true, includeAll: true },
      { type: "textbox", name: "text", label: "Text", query: "word", current: { text: "word", value: "word" }, options: [] },
    ],
  },
  panels: panels(),
};

/** 12 panels, 10 lines each, 721 points each: three hours at 15 seconds. */
export const big = {
  ...shell,
  uid: "browser-big",
  title: "Much to draw",
  templating: { list: [] },
  panels: Array.from({ length: 12 }, (_, i) => ({
    ...panel("timeseries", `Panel ${i + 1}`, Array.from({ length: 10 }, (_, j) => wave(`line ${j}`, 90 + 37 * i + 53 * j, 10 + j)), { interval: "15s", maxDataPoints: 721 }),
    gridPos: { x: (i % 3) * 8, y: Math.floor(i / 3) * 8, w: 8, h: 8 },
  })),
};

/** A board whose annotation holds all the time. */
export const marked = {
  ...shell,
  uid: "browser-marked",
  title: "Marked",
  templating: { list: [] },
  annotations: { list: [{ name: "Always", enable: true, hide: false, iconColor: "red", expr: "vector(1)", titleFormat: "marked all along" }] },
  panels: [panel("timeseries", "Lines", [wave("wave", 600, 5)])],
};

const hostileLegend = HOSTILE.map((payload, i) => ({ expr: `label_replace(vector(${i}), "name", ${JSON.stringify(payload)}, "", "")`, legendFormat: i % 2 ? payload : "{{name}}" }));

export const hostileBoard = {
  ...shell,
  uid: "browser-hostile",
  title: HOSTILE[0],
  description: HOSTILE[1],
  tags: HOSTILE,
  links: [{ type: "link", title: HOSTILE[2], url: "javascript:alert(9)", tooltip: HOSTILE[1] }],
  annotations: { list: [{ name: HOSTILE[0], enable: true, hide: false, iconColor: HOSTILE[4], expr: "vector(1)", titleFormat: HOSTILE[1], textFormat: HOSTILE[2] }] },
  templating: {
    list: [
      { type: "custom", name: "pick", label: HOSTILE[2], description: HOSTILE[4], query: HOSTILE.map((payload) => payload.replaceAll(",", "\\,")).join(","), current: {}, options: [], multi: true, includeAll: true },
      { type: "textbox", name: "text", label: HOSTILE[1], query: HOSTILE[0], current: {}, options: [] },
    ],
  },
  panels: [
    panel("timeseries", "Hostile lines", hostileLegend, { description: HOSTILE[0], links: [{ title: HOSTILE[1], url: "javascript:alert(10)" }], options: { legend: { displayMode: "table", placement: "bottom", showLegend: true, calcs: ["last"] }, tooltip: { mode: "multi" } } }),
    panel("stat", "$text", hostileLegend, { fieldConfig: { defaults: { unit: `suffix:${HOSTILE[0]}`, displayName: HOSTILE[1], links: [{ title: "x", url: "javascript:alert(11)" }] }, overrides: [] } }),
    panel("table", HOSTILE[2], hostileLegend.map((target) => ({ ...target, format: "table", instant: true })), { fieldConfig: { defaults: { links: [{ title: HOSTILE[0], url: "${__value.text}" }] }, overrides: [] } }),
    panel("bargauge", HOSTILE[4], hostileLegend, {}),
    panel("piechart", HOSTILE[5], hostileLegend, {}),
    panel("text", "Markdown", [], { options: { mode: "markdown", content: `${HOSTILE.join("\n\n")}\n\n[click](javascript:alert(12)) ![x](x)` } }),
    panel("text", "HTML", [], { options: { mode: "html", content: HOSTILE.join("") } }),
    panel("timeseries", HOSTILE[3], ["sum(<img src=x onerror=alert(13)>"], {}),
  ],
};

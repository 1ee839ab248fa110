// Pictures of every page of a running skep, to look at them with one's own eyes:
//
//   node tests/browser/screenshots.mjs URL OUTDIR [NAME]
//
// Every page, dark and light, in three widths and without scripts, goes to OUTDIR as PAGE-THEME-WIDTH.png; `overview.png` is
// the README's picture. With NAME only pictures whose name contains it are made.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, outdir, only = ""] = process.argv.slice(2);
if (!url || !outdir) {
  console.error("usage: node tests/browser/screenshots.mjs URL OUTDIR [NAME]");
  process.exit(2);
}
const base = url.replace(/\/$/, "");
mkdirSync(outdir, { recursive: true });

/** The page of the target that stands first. */
async function firstTarget() {
  const list = await (await fetch(`${base}/targets`)).text();
  return list.match(/\/targets\/inspect\?id=\w+/)?.[0] ?? "/targets/inspect";
}

const expressions = (...texts) => `/query?from=now-6h&to=now&${texts.map((text) => `expr=${encodeURIComponent(text)}`).join("&")}`;
const RATES = [
  "sum by (direction) (rate(cilium_forward_count_total[5m]))",
  "sum by (reason) (rate(cilium_drop_count_total[5m]))",
];
/** Name, path. */
const PAGES = [
  ["overview", "/"],
  ["overview-day", "/?from=now-24h&to=now"],
  ["dashboards", "/dashboards"],
  ["dashboards-import", "/dashboards/import"],
  ["dashboards-about", "/dashboards/about/skep-itself"],
  ["query", "/query"],
  ["query-chart", expressions(RATES[0])],
  ["query-several", expressions(...RATES)],
  ["query-table", `${expressions("up")}&tab=table`],
  ["query-explain", `${expressions("sum by (mode) (rate(node_cpu_seconds_total[5m])) / on () group_left () count(count by (cpu) (node_cpu_seconds_total)) * 100", "max_over_time(sum(up)[10m:1m]) / max_over_time(sum(up)[10m:1m]) + sum(up @ end())")}&tab=explain`],
  ["query-error", expressions("sum(rate(up[5m])")],
  ["query-nothing", expressions("no_such_metric")],
  ["targets", "/targets"],
  ["target", await firstTarget()],
  ["cilium", "/cilium"],
  ["bpf", "/bpf"],
  ["alerts", "/alerts"],
  ["alert-rules", "/alerts/rules"],
  ["alert-silence", "/alerts/silence?m=severity%3D%22critical%22"],
  ["alert-history", "/alerts/history"],
  ["alert-edit", "/alerts/edit?expr=node_load1&op=%3E&threshold=0.5&for=1m&name=Loaded"],
  ["alert-runbook", "/alerts/runbook/CiliumServiceWithoutBackend"],
  ["storage", "/storage"],
  ["nowhere", "/nowhere"],
];
const SIZES = [
  ["1440", { viewport: { width: 1440, height: 900 } }],
  ["1024", { viewport: { width: 1024, height: 768 } }],
  ["390", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
];
const README = { viewport: { width: 1440, height: 1080 }, colorScheme: "dark" };
/** Longest wait for a page's charts. */
const DEADLINE_MS = 20000;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-background-networking"],
});

/** Opens a page in a fresh context, scrolls through it so that every chart draws, and takes a picture. */
async function picture(name, path, options, fullPage = true) {
  if (!name.includes(only)) return;
  const context = await browser.newContext({ colorScheme: "light", timezoneId: "UTC", ...options });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    await page.goto(base + path, { waitUntil: "load" });
    if (options.javaScriptEnabled !== false) await drawn(page);
    await page.screenshot({ path: join(outdir, `${name}.png`), fullPage });
    console.log(name);
  } finally {
    await context.close();
  }
}

/** Scrolls down and up, and waits until all charts have drawn or said why not. */
async function drawn(page) {
  const plots = page.locator(".plot");
  for (let i = 0; i < (await plots.count()); i++) {
    await plots.nth(i).scrollIntoViewIfNeeded();
    await plots.nth(i).locator("canvas, .none").first().waitFor();
  }
  await page.evaluate(() => scrollTo(0, 0));
}

await picture("overview", "/?from=now-24h&to=now", README, false);
for (const [size, options] of SIZES) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, path] of PAGES) await picture(`${name}-${colorScheme}-${size}`, path, { ...options, colorScheme });
  }
}
for (const [name, path] of PAGES) await picture(`${name}-plain-1440`, path, { ...SIZES[0][1], javaScriptEnabled: false });
await browser.close();

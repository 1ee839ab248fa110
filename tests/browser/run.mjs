// Browser tests of a running skep:
//
//   node tests/browser/run.mjs URL [PID] [TROUBLED]
//
// URL is its address, such as http://127.0.0.1:9090; nothing is started here. With PID, the server is stopped at the end by
// SIGTERM, to see that the page says so. TROUBLED is the address of a server whose targets have everything that can be wrong
// with targets, as `cargo xtask test` starts it. The process should have data: `skep demo` has.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { alerts } from "./alerts.mjs";
import { boards } from "./boards.mjs";
import { budgets } from "./budgets.mjs";
import { pages } from "./pages.mjs";
import { targets } from "./targets.mjs";
import { hostile } from "./hostile.mjs";
import { loss } from "./loss.mjs";
import { shelf } from "./shelf.mjs";
import { young } from "./young.mjs";

const [url, pid, troubled] = process.argv.slice(2);
if (!url) {
  console.error("usage: node tests/browser/run.mjs URL [PID] [TROUBLED]");
  process.exit(2);
}
const base = url.replace(/\/$/, "");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const WIDE = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
/** Longest wait for anything that a page should show. */
const DEADLINE_MS = 15000;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-background-networking"],
});

let passed = 0;
const failures = [];

/** A fresh browser context whose pages note errors, violations of the policy and requests to other hosts. */
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const seen = { errors: [], others: [], requests: [], bytes: 0 };
  page.on("console", (message) => {
    if (message.type() === "error") seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(`uncaught: ${error.message}`));
  page.on("dialog", (dialog) => {
    seen.errors.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    seen.requests.push(request.url());
    const own = path?.startsWith("http") ? new URL(path).origin : base;
    if (!request.url().startsWith(`${own}/`) && !request.url().startsWith("data:")) seen.others.push(request.url());
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  const answer = path === null ? null : await page.goto(path.startsWith("http") ? path : base + path);
  return { context, page, seen, answer };
}

/** What every page must be: quiet, alone, without violations. */
async function assertClean({ page, seen }) {
  const violations = await page.evaluate(() => window.violations);
  equal(violations, [], "violations of the content security policy");
  equal(seen.errors, [], "errors on the console");
  equal(seen.others, [], "requests to other hosts");
}

/** What axe finds on a page that was opened with `bypassCSP`: nothing. */
async function assertAccessible(page) {
  await page.evaluate(axe);
  const findings = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.map((v) => `${v.id}: ${v.nodes[0].target} ${v.nodes[0].failureSummary ?? ""}`.slice(0, 400));
  });
  equal(findings, [], "findings");
}

function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

function ok(value, what) {
  if (!value) throw new Error(what);
}

async function check(name, test) {
  const contexts = browser.contexts().length;
  try {
    await test();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failures.push(name);
    console.log(`FAILED  ${name}\n        ${String(error.message).split("\n").slice(0, 6).join("\n        ")}`);
  } finally {
    for (const context of browser.contexts().slice(contexts)) await context.close();
  }
}

/** A rate of what every machine has; its answer is there when a second collection was written. */
const COLLECTED = "rate(node_cpu_seconds_total[1m])";
/** Charts end at a multiple of their step. */
const STEP_S = 15;
const COLLECTED_MS = 60_000;

/** Waits until the charts of a server that has just started have what they draw. */
async function collected() {
  const begun = Date.now();
  while (Date.now() - begun < COLLECTED_MS) {
    const time = Math.floor(Date.now() / 1000 / STEP_S) * STEP_S;
    const answer = await fetch(`${base}/api/v1/query?${new URLSearchParams({ query: COLLECTED, time: String(time) })}`);
    if ((await answer.json()).data?.result.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  console.log(`${COLLECTED} has no answer after ${COLLECTED_MS} ms: tests of charts will fail`);
}

const kit = { check, open, assertClean, assertAccessible, equal, ok, axe, base, pid, troubled, WIDE, PHONE, DEADLINE_MS };
await young(kit);
await collected();
await budgets(kit);
await pages(kit);
await targets(kit);
await shelf(kit);
await alerts(kit);
await boards(kit);
await hostile(kit);
await loss(kit);
await browser.close();
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);

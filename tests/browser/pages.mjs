// Pages, their charts, navigation, keyboard, themes and sizes.

const PATHS = ["/", "/query", "/query?expr=up&tab=table", "/query?expr=up", "/query?expr=sum(rate(up[5m]))%2Bsum(up)&tab=explain", "/targets", "/cilium", "/bpf", "/bpf?q=nothing&programs=name&maps=-memory&history=map%3Anothing", "/alerts", "/storage"];

export async function pages({ check, open, assertClean, assertAccessible, equal, ok, base, PHONE }) {
  const list = await (await fetch(`${base}/targets`)).text();
  const target = list.match(/\/targets\/inspect\?id=\w+/)[0];
  for (const path of [...PATHS, target]) {
    await check(`${path} loads without errors, violations or other hosts`, async () => {
      const opened = await open(path);
      equal(opened.answer.status(), 200, "status");
      await settle(opened.page);
      await assertClean(opened);
    });

    for (const colorScheme of ["light", "dark"]) {
      await check(`${path} has no accessibility findings, ${colorScheme}`, async () => {
        const { page } = await open(path, { colorScheme, bypassCSP: true });
        await settle(page);
        await assertAccessible(page);
      });
    }

    await check(`${path} fits a phone without horizontal scroll`, async () => {
      const { page } = await open(path, { viewport: PHONE, isMobile: true, hasTouch: true });
      await settle(page);
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      ok(content <= window, `${content} pixels wide in a window of ${window}`);
    });

    await check(`${path} can be read without scripts`, async () => {
      const { page } = await open(path, { javaScriptEnabled: false });
      const text = await page.locator("main").innerText();
      ok(text.trim().length > 20, `main says only ${JSON.stringify(text)}`);
    });
  }

  await check("all visible charts come with one request", async () => {
    const { page, seen } = await open("/");
    await page.locator(".plot canvas").first().waitFor();
    const requests = seen.requests.filter((url) => url.includes("/ui/data"));
    const panels = new URL(requests[0]).searchParams.get("panels").split(",");
    equal(requests.length, 1, `requests ${requests}`);
    ok(panels.length >= 3, `panels ${panels}`);
  });

  await check("the navigation reaches every page and keeps the range", async () => {
    const { page } = await open("/?from=now-3h&to=now");
    for (const word of ["Dashboards", "Query", "Targets", "Cilium", "eBPF", "Alerts", "Storage", "Overview"]) {
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: word }).click();
      await page.getByRole("heading", { level: 1, name: word }).waitFor();
      equal(new URL(page.url()).searchParams.get("from"), "now-3h", "from");
    }
  });

  await check("an unknown page says so and leads back", async () => {
    const { page, answer } = await open("/nowhere");
    equal(answer.status(), 404, "status");
    await page.getByRole("link", { name: "To the overview" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  });

  await check("a range that cannot be read says what is expected", async () => {
    const { page, answer } = await open("/?from=yesterday");
    equal(answer.status(), 400, "status");
    ok((await page.locator("main").innerText()).includes("now-15m"), "no example is given");
  });

  await check("the theme switches and stays", async () => {
    const { page } = await open("/");
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await ground();
    await page.locator("#theme").click();
    const after = await ground();
    ok(before !== after, `still ${before}`);
    await page.reload();
    equal(await ground(), after, "background after a reload");
  });

  await check("the zone switches all times", async () => {
    const { page } = await open("/query?expr=up&tab=table", { timezoneId: "Asia/Kolkata" });
    const time = page.locator("time[data-ms]").first();
    const local = await time.innerText();
    await page.locator("#zone").click();
    const utc = await time.innerText();
    equal((Date.parse(`${local}Z`) - Date.parse(`${utc}Z`)) / 60000, 330, "minutes between the zones");
  });

  await check("a preset changes the address, the charts and the links", async () => {
    const { page } = await open("/");
    await page.locator(".plot canvas").first().waitFor();
    const asked = page.waitForRequest((request) => request.url().includes("/ui/data") && request.url().includes("from=now-6h"));
    await page.locator("#range summary").click();
    await page.getByRole("link", { name: "Last 6 hours" }).click();
    await asked;
    equal(new URL(page.url()).searchParams.get("from"), "now-6h", "from");
    const link = await page.getByRole("navigation").getByRole("link", { name: "Targets" }).getAttribute("href");
    ok(link.includes("from=now-6h"), link);
  });

  await check("a time that is typed is read in the zone that is shown", async () => {
    const { page } = await open("/", { timezoneId: "Asia/Kolkata" });
    await page.locator("#range summary").click();
    await page.getByLabel("From").fill("2026-01-31 12:00");
    await page.getByLabel("To", { exact: true }).fill("2026-01-31 13:30:15");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL((url) => url.searchParams.get("from") === String(Date.UTC(2026, 0, 31, 6, 30)));
    equal(new URL(page.url()).searchParams.get("to"), String(Date.UTC(2026, 0, 31, 8, 0, 15)), "to");
    equal(await page.locator("#range-title").innerText(), "2026-01-31 12:00 – 2026-01-31 13:30", "title");
  });

  await check("dragging over a chart zooms in, double-click zooms out, back comes back", async () => {
    const { page } = await open("/query?expr=up");
    const over = page.locator(".u-over");
    await over.waitFor();
    const box = await over.boundingBox();
    const y = box.y + box.height / 2;
    const asked = page.waitForRequest((request) => request.url().includes("/ui/data"));
    await page.mouse.move(box.x + box.width * 0.4, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, y, { steps: 4 });
    await page.mouse.up();
    await asked;
    const span = () => {
      const query = new URL(page.url()).searchParams;
      return Number(query.get("to")) - Number(query.get("from"));
    };
    ok(Math.abs(span() - 720_000) < 60_000, `a fifth of an hour is not ${span()} ms`);
    await page.waitForFunction(() => document.querySelector(".plot canvas") !== null);
    const zoomed = span();
    await page.mouse.dblclick(box.x + box.width / 2, y);
    await page.waitForURL((url) => Number(url.searchParams.get("to")) - Number(url.searchParams.get("from")) > zoomed * 1.5);
    await page.goBack();
    equal(span(), zoomed, "span after going back");
    ok((await page.locator("#range-title").innerText()).includes("–"), "the picker shows no absolute range");
  });

  await check("where Cilium was found it comes before the host's details", async () => {
    const { page } = await open("/");
    const headings = await page.locator("main h2:visible").allInnerTexts();
    const [cilium, host] = ["Cilium", "Host in detail"].map((words) => headings.indexOf(words));
    ok(cilium > 0 && cilium < host, `headings ${headings}`);
  });

  await check("a day's view shows what began a minute ago", async () => {
    const { page } = await open("/?from=now-24h&to=now");
    await page.locator('[data-panel="memory"]').scrollIntoViewIfNeeded();
    await page.locator('[data-panel="memory"] canvas').waitFor();
  });

  await check("a tooltip tells the values in full", async () => {
    const { page, seen } = await open("/?from=now-24h&to=now");
    const plot = page.locator('[data-panel="cilium-forward"]');
    await plot.locator("canvas").waitFor();
    const box = await plot.locator(".u-over").boundingBox();
    // Nights are quiet: somewhere in a day a value has four digits, but not at each of its hours.
    for (const part of [0.2, 0.35, 0.5, 0.65, 0.8, 0.95]) {
      const asked = page.waitForResponse((response) => response.url().includes("exact=1"));
      await page.mouse.move(box.x + box.width * part, box.y + box.height / 2);
      const answer = await (await asked).json();
      if (answer.panels[0].series.some((series) => series.v[0] >= 1000)) break;
    }
    const full = plot.locator(".tooltip .full", { hasText: /\d,\d{3}(\.\d+)? pkt\/s/ }).first();
    await full.waitFor();
    const [short, exact] = [await plot.locator(".tooltip b").first().innerText(), await full.innerText()];
    const ratio = Number(exact.replace(/[^\d.]/g, "")) / (Number.parseFloat(short) * 1000);
    ok(Math.abs(ratio - 1) < 0.005, `${short} is not ${exact}`);
    equal(seen.errors, [], "errors");
  });

  await check("a long legend unfolds", async () => {
    const { page } = await open("/?from=now-24h&to=now");
    const legend = page.locator("#chart-cilium-drops .legend");
    const names = legend.locator("li:visible");
    await legend.locator(".fold").waitFor();
    const short = await names.count();
    await legend.locator(".fold").click();
    ok((await names.count()) > short, `still ${short} lines`);
    equal(await legend.locator(".fold").innerText(), "fewer", "the button's word");
  });

  await check("the keyboard moves the crosshair and zooms", async () => {
    const { page } = await open("/query?expr=up");
    await page.locator(".u-over").waitFor();
    await page.locator(".plot").focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.locator(".tooltip:not([hidden])").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => /^\d+$/.test(url.searchParams.get("from") ?? ""));
  });

  await check("every control is reached by Tab and shows its focus", async () => {
    const { page } = await open("/targets");
    const reached = new Set();
    for (let i = 0; i < 14; i++) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(() => {
        const element = document.activeElement;
        if (element === document.body) return { name: "" };
        const style = getComputedStyle(element);
        return { name: element.id || element.textContent.trim(), outline: style.outlineStyle !== "none" || style.boxShadow !== "none" };
      });
      if (focus.name) ok(focus.outline, `${focus.name} shows no focus`);
      reached.add(focus.name);
    }
    for (const name of ["Skip to the content", "Overview", "Query", "zone", "theme", "words"]) {
      ok([...reached].some((one) => one.startsWith(name)), `${name} was not reached: ${[...reached]}`);
    }
  });

  await check("Ctrl+Enter runs the expression and the address can be shared", async () => {
    const { page, seen } = await open("/query");
    await page.locator("textarea").fill("1 + 1");
    await page.keyboard.press("Control+Enter");
    await page.waitForURL((url) => url.searchParams.get("expr") === "1 + 1");
    await page.locator(".u-over").waitFor();
    await page.locator('#query input[value="table"]').check({ force: true });
    await page.locator("td", { hasText: /^2$/ }).waitFor();
    equal(seen.errors, [], "errors");
    const copy = await open(page.url().slice(base.length));
    await copy.page.locator("td", { hasText: /^2$/ }).waitFor();
  });

  await check("several expressions share a chart", async () => {
    const { page } = await open("/query?expr=vector(1)");
    await page.locator("#add-box").click();
    await page.locator("textarea").nth(1).fill("vector(2)");
    await page.keyboard.press("Control+Enter");
    await page.locator(".legend button").nth(1).waitFor();
    equal(await page.locator(".legend button").count(), 2, "series");
  });

  await check("a plan tells what each part of an expression took, and what was taken from an equal one", async () => {
    const { page, seen } = await open("/query?expr=sum(up) / sum(up)");
    await page.locator('#query input[value="explain"]').check({ force: true });
    const parts = page.locator(".plan tbody tr");
    await parts.first().waitFor();
    equal(await page.locator(".plan code").allInnerTexts(), ["/", "sum", "up", "sum"], "parts");
    ok((await parts.nth(2).innerText()).includes("store:"), "what was asked of the store is missing");
    ok((await parts.nth(3).innerText()).includes("taken from an equal part"), await parts.nth(3).innerText());
    equal(new URL(page.url()).searchParams.get("tab"), "explain", "tab in the address");
    equal(seen.errors, [], "errors");
  });

  await check("a mistake is shown at its place", async () => {
    const { page } = await open("/query?expr=sum(rate(up[5m])");
    const mark = page.locator(".error mark");
    await mark.waitFor();
    ok((await page.locator(".error").innerText()).includes("parse error"), "no parse error is named");
  });

  await check("the storage page leads from what costs to its series", async () => {
    const { page, seen } = await open("/storage");
    const metric = page.locator("#cost-metrics tbody a").first();
    const name = await metric.innerText();
    await metric.click();
    await page.getByRole("heading", { level: 1, name: "Query" }).waitFor();
    ok(new URL(page.url()).searchParams.get("expr").includes(name), page.url());
    await page.locator("#live td").first().waitFor();
    equal(seen.errors, [], "errors");
  });

  await check("the storage page says what a power cut may lose and what is used", async () => {
    const { page } = await open("/storage", { javaScriptEnabled: false });
    const text = await page.locator("main").innerText();
    for (const words of ["a power cut may lose up to 30s", "Series in memory", "Memory of the head", "Blocks by day"]) {
      ok(text.includes(words), `${words} is missing in ${text.slice(0, 400)}`);
    }
  });

  await check("the box completes metrics, labels and values", async () => {
    const { page } = await open("/query");
    const box = page.locator("textarea");
    await box.pressSequentially("u");
    await page.locator(".offers li").first().waitFor();
    await box.fill("");
    await box.pressSequentially("up{jo");
    await page.locator(".offers li.label", { hasText: "job" }).waitFor();
    await page.keyboard.press("Tab");
    equal(await box.inputValue(), "up{job", "after Tab");
    await box.pressSequentially('="');
    await page.locator(".offers li.value").first().waitFor();
    await page.keyboard.press("Escape");
    equal(await page.locator(".offers").isVisible(), false, "list after Escape");
  });

  await check("the box completes types, durations and functions, and colours what it holds", async () => {
    const { page, seen } = await open("/query");
    const box = page.locator("textarea");
    const offers = (kind) => page.locator(`.offers li.${kind}`);
    await box.pressSequentially("rat");
    await offers("function").filter({ hasText: /^rate/ }).waitFor();
    await page.keyboard.press("Tab");
    equal(await box.inputValue(), "rate(", "after Tab");
    await box.pressSequentially("node_cpu_seconds_tot");
    await offers("counter").first().waitFor();
    await page.keyboard.press("Enter");
    await box.pressSequentially("[5");
    await offers("duration").filter({ hasText: /^5m/ }).waitFor();
    await page.keyboard.press("Tab");
    ok((await box.inputValue()).endsWith("[5m"), await box.inputValue());
    equal(await page.locator(".paint .t-function").allInnerTexts(), ["rate"], "functions");
    equal(await page.locator(".paint .t-number").allInnerTexts(), ["5m"], "durations");
    equal(seen.errors, [], "errors");
  });

  await check("what was run is found again in this browser, also on the empty page, and can be forgotten", async () => {
    const { page } = await open("/query?expr=vector(41)");
    await page.locator(".u-over").waitFor();
    await page.locator("textarea").fill("vector(42)");
    await page.keyboard.press("Control+Enter");
    // The address comes before the answer, and a run is one that has an answer.
    await page.waitForFunction(() => localStorage.getItem("skep.queries")?.includes("vector(42)"));
    await page.goto(`${base}/query`);
    equal(await page.locator("#recent code").allInnerTexts(), ["vector(42)", "vector(41)"], "on the empty page");
    await page.locator("#history summary").click();
    await page.locator("#runs a", { hasText: "vector(41)" }).click();
    await page.waitForURL((url) => url.searchParams.get("expr") === "vector(41)");
    equal(await page.locator("textarea").inputValue(), "vector(41)", "in the box");
    await page.locator("#history summary").focus();
    await page.keyboard.press("Enter");
    await page.locator("#forget").click();
    equal(await page.locator("#runs a").count(), 0, "after forgetting");
  });

  await check("a mistake is marked in the box that has it", async () => {
    const { page } = await open("/query");
    await page.locator("textarea").fill("sum(up) +* 2");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Enter");
    await page.locator('textarea[aria-invalid="true"]').waitFor();
    equal(await page.locator(".t-wrong").allInnerTexts(), ["+*"], "the marked place");
    ok((await page.evaluate(() => document.activeElement.selectionStart)) > 7, "the caret is not at the mistake");
  });

  await check("a live page hears news by its one stream and asks for the tail alone", async () => {
    const { page, seen } = await open("/");
    await page.locator(".plot canvas").first().waitFor();
    const tail = await page.waitForRequest((request) => request.url().includes("/ui/data") && request.url().includes("step="), {
      timeout: 60_000,
    });
    ok(/from=\d+/.test(tail.url()), tail.url());
    equal(seen.requests.filter((url) => url.endsWith("/ui/live")).length, 1, "streams");
    await page.waitForRequest((request) => request.headers()["hx-request"] === "true", { timeout: 60_000 });
    equal(seen.errors, [], "errors");
  });

  await check("the chart of a zoomed phone stays under the finger", async () => {
    const { page } = await open("/query?expr=up", { viewport: PHONE, isMobile: true, hasTouch: true });
    const over = page.locator(".u-over");
    await over.waitFor();
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    const y = Math.round(box.y + box.height / 2);
    const session = await page.context().newCDPSession(page);
    const touch = (type, x) =>
      session.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x: Math.round(x), y }] });
    await touch("touchStart", box.x + box.width * 0.3);
    for (const part of [0.4, 0.5, 0.6]) await touch("touchMove", box.x + box.width * part);
    await touch("touchEnd", 0);
    await page.waitForURL((url) => /^\d+$/.test(url.searchParams.get("from") ?? ""));
  });
}

/** Waits until the script has run and visible charts have drawn or said why not. */
async function settle(page) {
  await page.waitForLoadState("load");
  await page.waitForFunction(() => {
    const visible = [...document.querySelectorAll(".plot")].filter((plot) => plot.getBoundingClientRect().top < innerHeight);
    return visible.every((plot) => plot.querySelector("canvas, .none"));
  });
}

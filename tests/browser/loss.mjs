// The connection breaks: the page says so, keeps what it has, and comes back by itself. The last test stops the server.

export async function loss({ check, open, ok, equal, base, pid, DEADLINE_MS }) {
  await check("a lost connection is told with the time of the data, and its return", async () => {
    const { page, context } = await open("/");
    await page.locator(".plot canvas").first().waitFor();
    equal(await page.locator("#lost").isVisible(), false, "banner at first");
    await context.setOffline(true);
    await page.locator("#lost").waitFor({ state: "visible" });
    ok(/\d\d:\d\d:\d\d/.test(await page.locator("#lost-since").innerText()), "no time is told");
    ok(await page.locator(".plot canvas").first().isVisible(), "the charts went away");
    await context.setOffline(false);
    await page.locator("#lost").waitFor({ state: "hidden", timeout: 30_000 });
  });

  await check("a page without a place for a stream asks from time to time", async () => {
    const { page } = await open(null);
    await page.route("**/ui/live", (route) => route.fulfill({ status: 503, body: "all places are taken" }));
    const asked = page.waitForRequest("**/ui/live/now");
    await page.goto(`${base}/targets`);
    await asked;
    equal(await page.locator("#lost").isVisible(), false, "banner");
  });

  if (!pid) {
    console.log("skipped: the server is not stopped, no PID was given");
    return;
  }
  await check("a stopped server is told", async () => {
    const { page } = await open("/");
    await page.locator(".plot canvas").first().waitFor();
    const begun = Date.now();
    process.kill(Number(pid), "SIGTERM");
    await page.locator("#lost").waitFor({ state: "visible", timeout: DEADLINE_MS });
    console.log(`        after ${Date.now() - begun} ms`);
  });
}

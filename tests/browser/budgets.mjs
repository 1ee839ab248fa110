// What the first page costs: bytes, requests, time. Bytes are held to the design's budget; times are printed, because they say
// more about the machine than about the page.

/** Cold, all that a first page transfers without chart data. */
const COLD_BYTES_MAX = 100_000;
/** The same with the assets in the browser's cache. */
const WARM_BYTES_MAX = 10_240;
/** Loads whose median is printed. */
const LOADS = 5;
/** High enough to show every panel of the overview at once. */
const TALL = { width: 1440, height: 2600 };

export async function budgets({ check, open, ok, base }) {
  for (const [name, path] of [["the first page", "/"], ["a dashboard", "/d/skep-host"]]) {
    await check(`${name} stays within its budget of bytes, cold and warm`, async () => {
      const { page, context } = await open(null);
      const session = await context.newCDPSession(page);
      await session.send("Network.enable");
      const cold = await load(page, session, base + path);
      const warm = await load(page, session, base + path);
      console.log(`        cold ${words(cold)}\n        warm ${words(warm)}`);
      ok(cold.page > 0 && cold.page <= COLD_BYTES_MAX, `${cold.page} bytes cold`);
      ok(warm.page > 0 && warm.page <= WARM_BYTES_MAX, `${warm.page} bytes warm`);
    });
  }

  await check("a day in all panels of the overview is drawn", async () => {
    const { page } = await open(null, { viewport: TALL });
    const times = [];
    let panels = 0;
    for (let i = 0; i < LOADS; i++) {
      await page.goto(`${base}/?from=now-24h&to=now`, { waitUntil: "commit" });
      const drawn = await page.waitForFunction(() => {
        const plots = [...document.querySelectorAll(".plot")];
        const done = plots.length > 0 && plots.every((plot) => plot.querySelector("canvas, .none"));
        return done && document.readyState !== "loading" ? { panels: plots.length, ms: performance.now() } : null;
      });
      const { ms, panels: count } = await drawn.jsonValue();
      times.push(ms);
      panels = count;
    }
    const median = times.sort((a, b) => a - b)[Math.floor(LOADS / 2)];
    console.log(`        ${panels} panels usable after ${Math.round(median)} ms (median of ${LOADS}, ${Math.round(times[0])} at best)`);
  });
}

/** Loads a page until its visible charts are drawn; its requests and transferred bytes, chart data apart. */
async function load(page, session, url) {
  const requests = new Map();
  const answered = ({ requestId, response }) => requests.set(requestId, { url: response.url, bytes: 0, cached: response.fromDiskCache });
  const finished = ({ requestId, encodedDataLength }) => {
    const request = requests.get(requestId);
    if (request) request.bytes = request.cached ? 0 : encodedDataLength;
  };
  session.on("Network.responseReceived", answered);
  session.on("Network.loadingFinished", finished);
  await page.goto(url);
  await page.locator(".plot canvas").first().waitFor();
  session.off("Network.responseReceived", answered);
  session.off("Network.loadingFinished", finished);
  const all = [...requests.values()];
  const sum = (wanted) => all.filter(wanted).reduce((bytes, request) => bytes + request.bytes, 0);
  const isData = ({ url }) => url.includes("/ui/") && !url.includes(".css");
  return { requests: all.length, page: sum((one) => !isData(one)), data: sum(isData) };
}

function words({ requests, page, data }) {
  return `${page} bytes and ${data} of chart data in ${requests} requests`;
}

// Alerts: kinds and reasons, silences, rules, history, an alert made in a form. The server of troubled targets has alerts of
// every kind at every hour.

const PATHS = [
  "/alerts/rules",
  "/alerts/silences",
  "/alerts/silence?m=alertname%3D%22Loud%22",
  "/alerts/quiet",
  "/alerts/quiet?day=mo&from=22:00&to=7&zone=UTC",
  "/alerts/alert/NUMBER",
  "/alerts/notifications",
  "/alerts/history",
  "/alerts/receivers",
  "/alerts/edit",
  "/alerts/edit?expr=vector(3)&op=%3E&threshold=2&for=1m&name=Three",
  "/alerts/rule?file=FILE&group=kinds&rule=Loud&place=0&days=1",
  "/alerts/runbook/CiliumServiceWithoutBackend",
];

export async function alerts({ check, open, assertClean, assertAccessible, equal, ok, troubled, PHONE }) {
  if (!troubled) {
    console.log("skipped: alerts of every kind, no server that has them is named");
    return;
  }
  const at = (path) => `${troubled}${path}`;
  const list = await (await fetch(at("/alerts/rules"))).text();
  const rule = list.match(/\/alerts\/rule\?file=([^&"]+)&[^"]*group=kinds/);
  ok(rule, "the page of rules links to the pages of its rules");
  const alert = (await (await fetch(at("/alerts?q=Loud"))).text()).match(/\/alerts\/alert\/([0-9a-f]{16})/);
  ok(alert, "the page of alerts links to the pages of alerts");
  const paths = ["/alerts", ...PATHS.map((path) => path.replace("FILE", rule[1]).replace("NUMBER", alert[1]))];
  const row = (page, name) => page.locator("#live tbody tr").filter({ has: page.locator("strong", { hasText: new RegExp(`^${name}$`) }) });

  for (const path of paths) {
    await check(`${path.split("?")[0]} is clean, accessible in both themes, fits a phone, is whole without scripts`, async () => {
      const opened = await open(at(path));
      equal(opened.answer.status(), 200, "status");
      await assertClean(opened);
      for (const colorScheme of ["light", "dark"]) {
        const { page } = await open(at(path), { colorScheme, bypassCSP: true });
        await assertAccessible(page);
      }
      const phone = await open(at(path), { viewport: PHONE, isMobile: true, hasTouch: true });
      const [content, window] = await phone.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      ok(content <= window, `${content} pixels wide in a window of ${window}`);
      const plain = await open(at(path), { javaScriptEnabled: false });
      const text = await plain.page.locator("main").innerText();
      ok(text.trim().length > 20, `main says only ${JSON.stringify(text)}`);
    });
  }

  await check("alerts stand by severity, each with its kind and the reason why nobody is told", async () => {
    const { page } = await open(at("/alerts"));
    for (const [name, kind, reason] of [
      ["Loud", "firing", ""],
      ["Quiet", "inhibited", "while Loud fires"],
      ["Asleep", "muted", "in the time interval always"],
      ["Patient", "pending", ""],
    ]) {
      // The page asks again when an alert changes; a kind may come a second after the alert.
      await row(page, name).filter({ hasText: kind }).filter({ hasText: reason }).waitFor();
    }
    const severities = await page.locator("#live h2").allInnerTexts();
    equal(severities.map((text) => text.split(/\s/)[0]), ["critical", "warning", "info"], "sections");
    await page.getByRole("link", { name: /muted/ }).first().click();
    await row(page, "Asleep").waitFor();
    equal(await row(page, "Loud").count(), 0, "rows of others");
  });

  await check("a filter without scripts is an address", async () => {
    const { page } = await open(at("/alerts?q=loud+critical"), { javaScriptEnabled: false });
    equal(await page.locator("#live tbody tr").count(), 1, "rows");
    const none = await open(at("/alerts?q=no-such-alert"), { javaScriptEnabled: false });
    ok((await none.page.locator("main").innerText()).includes("No alert is like that"), "an empty answer says so");
  });

  for (const javaScriptEnabled of [true, false]) {
    await check(`an alert is silenced in two clicks and heard again, ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
      const { page } = await open(at("/alerts"), { javaScriptEnabled });
      await row(page, "Loud").getByRole("link", { name: "Silence" }).click();
      await page.getByRole("heading", { name: "1 alert fits now" }).waitFor();
      await page.getByRole("button", { name: "Silence", exact: true }).click();
      await page.waitForURL("**/alerts/silences");
      const silence = page.locator("#live tbody tr").filter({ hasText: "active" }).filter({ hasText: 'alertname="Loud"' });
      await silence.first().waitFor();
      await page.goto(at("/alerts"));
      await row(page, "Loud").filter({ hasText: "silenced" }).filter({ hasText: "more, by" }).waitFor();
      await page.goto(at("/alerts/silences"));
      await silence.first().getByRole("button", { name: /^End/ }).click();
      await page.locator("#live").getByText("No silence holds").waitFor();
      await page.goto(at("/alerts"));
      await row(page, "Loud").filter({ hasText: "firing" }).waitFor();
    });
  }

  await check("a notification leads to its alert, and from there to a silence", async () => {
    const { page } = await open(at("/alerts"));
    await row(page, "Loud").getByRole("link", { name: "Loud" }).click();
    await page.getByRole("heading", { level: 1, name: "Loud" }).waitFor();
    equal(new URL(page.url()).pathname, `/alerts/alert/${alert[1]}`, "address");
    await page.locator(".plot canvas").first().waitFor();
    await page.getByText("against > 5").waitFor();
    await page.getByRole("heading", { name: /Who was told/ }).waitFor();
    await page.getByRole("heading", { name: "What happened" }).waitFor();
    await page.locator("#live").getByRole("link", { name: "Silence" }).click();
    await page.getByRole("heading", { name: "1 alert fits now" }).waitFor();
    // As the links of mails have it.
    const plain = await open(at(`/alerts/silence?alert=${alert[1]}`), { javaScriptEnabled: false });
    await plain.page.getByRole("heading", { name: "1 alert fits now" }).waitFor();
    const gone = await open(at("/alerts/alert/0123456789abcdef"));
    equal(gone.answer.status(), 404, "status of an alert that nobody knows");
  });

  for (const javaScriptEnabled of [true, false]) {
    await check(`quiet hours are made, changed and removed, ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
      const { page } = await open(at("/alerts/silences"), { javaScriptEnabled });
      const hours = page.locator("#live tbody tr").filter({ hasText: "somebody-else" });
      await page.getByRole("link", { name: "New quiet hours" }).click();
      await page.getByText("Every day from 22:00 to 07:00").waitFor();
      for (const name of ["from", "to"]) await page.locator(`input[name=${name}]`).fill("00:00");
      await page.getByRole("checkbox", { name: "Monday" }).uncheck();
      await page.locator("input[name=zone]").fill("Europe/Berlin");
      await page.locator("select[name=receiver]").selectOption("somebody-else");
      if (javaScriptEnabled) await page.getByText("Saturday and Sunday, the whole day in Europe/Berlin").waitFor();
      await page.getByRole("button", { name: "Make quiet hours" }).click();
      await page.waitForURL("**/alerts/silences");
      await hours.filter({ hasText: "the whole day" }).filter({ hasText: "critical" }).waitFor();
      await hours.getByRole("link", { name: /^Change/ }).click();
      equal(await page.getByRole("checkbox", { name: "Monday" }).isChecked(), false, "Monday");
      await page.getByRole("checkbox", { name: "Monday" }).check();
      await page.getByRole("button", { name: "Keep the change" }).click();
      await page.waitForURL("**/alerts/silences");
      // Every day has them now, at every hour.
      await hours.filter({ hasText: "quiet now" }).filter({ hasText: "every day" }).waitFor();
      await hours.getByRole("button", { name: /^Remove/ }).click();
      await page.locator("#live").getByText("make quiet hours").waitFor();
      equal(await hours.count(), 0, "quiet hours");
    });
  }

  await check("a test that fails says why, there and among the notifications", async () => {
    const { page } = await open(at("/alerts/receivers"));
    await page.getByRole("button", { name: "Test somebody-else" }).click();
    await page.getByRole("status").filter({ hasText: "did not take the test" }).waitFor();
    await page.getByRole("link", { name: "Notifications" }).click();
    await page.locator("#q").fill("somebody-else test");
    const attempt = page.locator("#live tbody tr").filter({ hasText: "SkepTest" }).filter({ hasText: "failed" });
    await attempt.first().waitFor();
    await page.locator("#q").fill("no-such-receiver");
    await page.getByText("No notification is like that").waitFor();
  });

  await check("a silence shows what it fits while it is written, and says what is wrong", async () => {
    const { page } = await open(at("/alerts/silence"));
    const matchers = page.locator("textarea[name=matchers]");
    await matchers.fill('alertname=~"Loud|Quiet"');
    await page.getByRole("heading", { name: "2 alerts fit now" }).waitFor();
    await matchers.fill('alertname=~"("');
    await page.locator("#preview [role=alert]").waitFor();
    await matchers.fill("alertname=~.*");
    await page.getByText("fit every alert").waitFor();
  });

  await check("an alert is made in a form with a preview, changed and deleted", async () => {
    const { page } = await open(at("/alerts/edit"));
    await page.locator("#alert-expr").fill("vector(42)");
    await page.locator("input[name=threshold]").fill("41");
    await page.locator("input[name=for]").fill("0s");
    await page.locator("#preview").getByText("It holds now for 1").waitFor();
    await page.locator("#preview").getByText(/would have fired/).waitFor();
    const name = `Made${Date.now()}`;
    await page.locator("input[name=name]").fill(name);
    await page.locator("select[name=receiver]").selectOption("somebody-else");
    await page.getByRole("button", { name: "Make the alert" }).click();
    await page.getByRole("heading", { level: 1, name }).waitFor();
    equal(await page.locator("pre.expr").innerText(), "vector(42) > 41", "expression");
    await page.getByRole("link", { name: "Change" }).click();
    equal(await page.locator("input[name=threshold]").inputValue(), "41", "threshold");
    await page.locator("input[name=threshold]").fill("43");
    await page.getByRole("button", { name: "Keep the change" }).click();
    await page.getByText("vector(42) > 43").first().waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.waitForURL("**/alerts/rules");
    equal(await page.getByRole("heading", { name }).count(), 0, "rules of this name");
  });

  await check("a mistake in the form is said beside what was typed", async () => {
    const { page } = await open(at("/alerts/edit"), { javaScriptEnabled: false });
    await page.locator("#alert-expr").fill("sum(");
    await page.locator("input[name=threshold]").fill("1");
    await page.locator("input[name=name]").fill("Bad");
    await page.getByRole("button", { name: "Make the alert" }).click();
    await page.getByRole("alert").filter({ hasText: "parse error" }).waitFor();
    equal(await page.locator("#alert-expr").inputValue(), "sum(", "expression");
  });

  await check("a rule's page shows chart and threshold, strips, a backtest and what happened", async () => {
    const { page } = await open(at(paths.find((path) => path.startsWith("/alerts/rule?"))));
    await page.locator(".plot canvas").first().waitFor();
    await page.getByText("against > 5").waitFor();
    await page.locator(".strips rect.fires").first().waitFor();
    await page.getByText(/would have fired/).waitFor();
    await page.getByRole("heading", { name: /What happened/ }).waitFor();
  });

  await check("a rule that cannot be evaluated says why", async () => {
    const { page } = await open(at("/alerts/rules"));
    await page.getByRole("link", { name: "Broken" }).click();
    await page.getByRole("alert").filter({ hasText: "many" }).waitFor();
  });

  await check("the history is searched while it is typed", async () => {
    const { page } = await open(at("/alerts/history"));
    await row(page, "Loud").first().waitFor();
    await page.locator("#q").fill("asleep");
    await row(page, "Asleep").first().waitFor();
    await page.waitForFunction(() => !document.querySelector("#live")?.textContent?.includes("Loud"));
    equal(new URL(page.url()).searchParams.get("q"), "asleep", "words in the address");
    await page.locator("#q").fill("no-such-alert");
    await page.getByText("Nothing like that happened").waitFor();
  });
}

// The leaderboard: its charts, what can be taken from it, and that its numbers are those of report.json.
import assert from "node:assert/strict";

/** Whether something was drawn on the first canvas of an element. */
const drawn = (canvas) => {
  const { width, height } = canvas;
  if (!width || !height) return false;
  const dots = new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer));
  return dots.size > 3;
};

const opened = async (page, url, path = "leaderboard/") => {
  await page.goto(url + path);
  await page.locator("#table-best_scores").waitFor({ timeout: 120_000 }); // until they are computed
};

export const tests = {
  "charts are drawn, also after the colours change": async ({ page, url }) => {
    await opened(page, url);
    const charts = page.locator(".chart.live[data-chart]");
    const n = await charts.count();
    assert.ok(n >= 4, `${n} charts`);
    for (let i = 0; i < n; i++) {
      await charts.nth(i).scrollIntoViewIfNeeded();
      const canvas = charts.nth(i).locator(".drawing canvas:not([aria-hidden])").first();
      await canvas.waitFor();
      assert.ok(await canvas.evaluate(drawn), `chart ${await charts.nth(i).getAttribute("id")} is blank`);
    }
    await page.locator("#theme").click();
    const canvas = charts.first().locator(".drawing canvas:not([aria-hidden])").first();
    assert.ok(await canvas.evaluate(drawn));
    await page.evaluate(() => localStorage.clear());
  },

  "a curve is hidden and read by keyboard": async ({ page, url }) => {
    await opened(page, url);
    const chart = page.locator("#figure-performance_profile");
    await chart.scrollIntoViewIfNeeded();
    const canvas = chart.locator(".drawing canvas:not([aria-hidden])").first();
    await canvas.waitFor();
    const button = chart.locator(".legend button").first();
    const before = await canvas.evaluate((c) => c.toDataURL());
    await button.focus();
    const was = await button.getAttribute("aria-pressed");
    await page.keyboard.press("Space");
    assert.notEqual(await button.getAttribute("aria-pressed"), was);
    await page.mouse.move(0, 0);
    await page.waitForFunction(([c, b]) => c.toDataURL() !== b, [await canvas.elementHandle(), before]);
    await page.keyboard.press("Space");
    assert.equal(await button.getAttribute("aria-pressed"), was);
  },

  "each figure and table can be taken along": async ({ page, url }) => {
    await opened(page, url);
    const types = { svg: /^image\/svg\+xml/, png: /^image\/png/, pdf: /^application\/pdf/, csv: /^text\/csv/, md: /^text\/(markdown|plain)/, tex: /^(application\/x-tex|text\/x-tex|text\/plain)/ };
    for (const within of ["#figure-performance_profile", "#table-best_scores"]) {
      const links = await page.locator(`${within} .downloads a`).evaluateAll((all) => all.map((a) => a.href));
      assert.ok(links.length >= 3, within);
      for (const link of links) {
        const answer = await page.request.get(link);
        assert.equal(answer.status(), 200, link);
        const kind = new URL(link).pathname.split(".").pop();
        assert.match(answer.headers()["content-type"], types[kind], link);
        assert.ok((await answer.body()).length > 20, link);
      }
    }
  },

  "the numbers are those of report.json": async ({ page, url }) => {
    for (const [path, definition] of [["leaderboard/", "mlgym"], ["leaderboard/corrected/", "corrected"]]) {
      await opened(page, url, path);
      const report = await (await page.request.get(`${url}leaderboard/report.json`)).json();
      const best = report.definitions[definition].scores.battleOfSexes.best_attempt;
      const cells = await page.locator("#table-best_scores table").evaluate((table) => {
        const row = [...table.tBodies[0].rows].find((r) => r.cells[0].textContent.includes("Battle"));
        return Object.fromEntries([...table.tHead.rows[0].cells].map((h, i) => [h.textContent, row.cells[i].textContent]));
      });
      for (const model of ["model-a", "model-b"]) {
        assert.ok(Math.abs(Number(cells[model]) - best[model]) < 5e-4 * Math.abs(best[model]), `${path} ${model}: ${cells[model]} is shown for ${best[model]}`);
      }
    }
  },
};

// The list of runs, the search over all of them, and the comparison of two.
import assert from "node:assert/strict";

export const tests = {
  "filter, sort, and open by keyboard": async ({ page, url }) => {
    await page.goto(`${url}runs/`);
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length >= 10);
    const all = await page.locator("tbody tr").count();
    await page.goto(`${url}runs/?model=model-b`);
    const some = await page.locator("tbody tr").count();
    assert.ok(some >= 2 && some < all, `${some} of ${all}`);
    await page.goto(`${url}runs/?sort=score&model=model-a&model=model-b`);
    assert.match(await page.locator("tbody tr").first().innerText(), /1\.44/);
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/runs\/[a-z0-9]{16}\//);
  },

  "choose two and compare them": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/`);
    for (const key of [runs.good, runs.better]) await page.locator(`input[type=checkbox][value="${key}"]`).check();
    await page.getByRole("button", { name: "Compare" }).first().click();
    await page.waitForURL(/\/compare\//);
    const text = await page.locator("main").innerText();
    assert.match(text, /The same up to step 2/);
    assert.match(text, /1\.4400/);
    assert.ok((await page.locator("canvas").count()) >= 2, "charts are drawn");
    await page.keyboard.press("p");
    await page.getByRole("link", { name: /files handed in/i }).click();
    await page.waitForURL(/\/files\//);
    assert.match(await page.locator("main").innerText(), /strategy\.py/);
  },

  "search all runs and go to the step": async ({ page, url, runs }) => {
    await page.goto(`${url}search/`);
    await page.getByRole("searchbox").first().fill("default_rng OR opponent");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=/);
    await page.locator("a.hit").first().waitFor();
    assert.ok((await page.locator("mark").count()) > 0);
    const link = page.locator(`li[data-run="${runs.good}"] a.hit`).first();
    await link.click();
    await page.waitForURL(new RegExp(`/runs/${runs.good}/#step-6`));
    await page.locator("#step-6").waitFor();
  },

  "nothing found says what to try": async ({ page, url }) => {
    await page.goto(`${url}search/?q=xyzzyxyzzy`);
    assert.match(await page.locator("main").innerText(), /Nothing was found/);
  },
};

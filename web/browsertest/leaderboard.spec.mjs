// The leaderboard: charts that answer the pointer and the keyboard, filters, files.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const open = async (page, url, path = "leaderboard/") => {
  await page.goto(url + path);
  await page.locator(".board").waitFor();
};

/** A figure whose chart is drawn. */
const figure = async (page, name) => {
  const f = page.locator(`#figure-${name}`);
  await f.scrollIntoViewIfNeeded();
  await f.locator(".canvas canvas").first().waitFor();
  return f;
};

export const tests = {
  "the legend shows and hides by keyboard, and the pointer reads values off": async ({ page, url }) => {
    await open(page, url);
    const f = await figure(page, "performance_profile");
    const names = f.locator(".legend button[aria-pressed]");
    assert.ok((await names.count()) >= 3, "models and baseline stand in the legend");
    await names.first().focus();
    await page.keyboard.press("Space");
    assert.equal(await names.first().getAttribute("aria-pressed"), "false");
    await page.keyboard.press("Space");
    assert.equal(await names.first().getAttribute("aria-pressed"), "true");

    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    const box = await f.locator(".canvas").first().boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + box.height / 2);
    await f.locator(".legend .value", { hasText: "%" }).first().waitFor();
    assert.match(await f.locator(".readout").textContent(), /Best Attempt, τ/);
    assert.equal(await page.evaluate(() => document.documentElement.scrollHeight), height, "nothing moves");

    await f.locator(".canvas").nth(1).focus();
    await page.keyboard.press("ArrowLeft");
    assert.match(await f.locator(".readout").textContent(), /Best Submission, τ/);
  },

  "bars are read row by row": async ({ page, url }) => {
    await open(page, url);
    const f = await figure(page, "actions_per_model");
    await f.locator(".canvas").focus();
    await page.keyboard.press("ArrowDown");
    const first = await f.locator(".readout").textContent();
    await page.keyboard.press("ArrowDown");
    assert.notEqual(await f.locator(".readout").textContent(), first);
    assert.match(first, /: \w+ \d/);
  },

  "charts follow the colours of the page": async ({ page, url }) => {
    await open(page, url);
    const f = await figure(page, "performance_profile");
    const picture = () => f.locator("canvas").first().evaluate((c) => c.toDataURL());
    await f.locator(".canvas").first().focus();
    const light = await picture();
    await page.locator("#theme").click();
    await f.locator(".canvas canvas").first().waitFor();
    assert.notEqual(await picture(), light);
    await page.evaluate(() => localStorage.clear());
  },

  "a filter narrows what is compared, and its files": async ({ page, url }) => {
    await open(page, url);
    await page.locator(".filterbox summary").click();
    await page.getByLabel("model-a", { exact: true }).check();
    await page.getByRole("button", { name: "Show" }).click();
    await page.locator(".board").waitFor();
    assert.match(page.url(), /model=model-a/);
    const [kept] = await Promise.all([page.waitForEvent("download"), page.getByLabel("CSV of: Area under the performance profile (AUP)").click()]);
    assert.equal(kept.suggestedFilename(), "headline.csv");
    const rows = readFileSync(await kept.path(), "utf8").trim().split("\n");
    assert.deepEqual(rows.slice(1).map((r) => r.split(",")[0]), ["model-a", "Baseline"]);
  },

  "the two definitions are a click apart": async ({ page, url }) => {
    await open(page, url);
    await page.getByRole("link", { name: "Corrected", exact: true }).click();
    await page.locator(".board").waitFor();
    assert.match(page.url(), /leaderboard\/corrected\/$/);
    assert.equal(await page.locator(".switch a[aria-current]").first().textContent(), "Corrected");
  },

  "without scripts there are pictures, and their numbers": async ({ browser, url }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await open(page, url);
    const f = page.locator("#figure-performance_profile");
    await f.scrollIntoViewIfNeeded();
    const drawn = await f.locator("img").evaluate(async (img) => {
      await img.decode();
      return img.naturalWidth;
    });
    assert.ok(drawn > 300, `a picture of ${drawn} pixels`);
    await f.locator("summary").click();
    assert.ok((await f.locator("td").count()) > 10);
    await context.close();
  },
};

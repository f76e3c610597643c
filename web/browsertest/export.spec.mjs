// Pages written into a folder, and opened from there without any server.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { folder, mlgym } from "./world.mjs";

/** The links of a page that lead to other pages of the export. */
const links = (page) => page.locator("a[href]").evaluateAll((all) => all.map((a) => new URL(a.getAttribute("href"), document.baseURI).href.split("#")[0]).filter((h) => h.startsWith("file:")));

export const tests = {
  "an export is read from a folder": async ({ page, browser, env }) => {
    await folder(async (dir) => {
      const site = join(dir, "site");
      await mlgym("view", join(env.MLGYM_VIEW_ROOT, "battleOfSexes"), "--export", site);
      const failed = [], asked = [];
      page.on("requestfailed", (r) => failed.push(`${r.url()}: ${r.failure()?.errorText}`));
      page.on("request", (r) => asked.push(r.url()));
      const first = pathToFileURL(join(site, "index.html")).href;
      await page.goto(first);
      assert.equal(await page.locator("form").count(), 0, "nothing asks for a server");
      await page.getByRole("link", { name: "Runs", exact: true }).first().click();
      await page.waitForURL(/runs\/index\.html/);
      assert.ok((await page.locator("tr[data-run]").count()) >= 10);
      // Sorting needs no server.
      await page.getByRole("button", { name: /^Score/ }).click();
      await page.locator('tr[data-run]:has(th .under:text-is("better")) a.open').click();
      await page.waitForURL(/runs\/[a-z0-9]{16}\/index\.html/);
      assert.match(await page.locator("#head").innerText(), /1\.4400/);
      assert.match(await page.locator("#step-2").innerText(), /cat strategy\.py/);
      await page.keyboard.press("j");
      await page.waitForFunction(() => document.querySelector("#steps [aria-current]"));
      const dark = await page.evaluate(() => (document.getElementById("theme").click(), document.documentElement.dataset.theme));
      assert.equal(dark, "dark");

      // Every link of every kind of page leads to a file that is there.
      const kinds = new Map();
      const todo = [first], seen = new Set();
      while (todo.length > 0 && kinds.size < 40) {
        const at = todo.shift();
        const kind = at.slice(first.length - "index.html".length).replaceAll(/[a-z0-9]{16}/g, "KEY").replaceAll(/\d+/g, "N").replace(/[^/]+$/, "");
        if (seen.has(at) || kinds.has(kind) || !at.endsWith(".html")) continue;
        seen.add(at);
        kinds.set(kind, at);
        await page.goto(at);
        assert.equal(await page.locator("h1").count() > 0, true, at);
        for (const link of await links(page)) {
          assert.ok(existsSync(new URL(link)), `${at} links to ${link}, which is not there`);
          todo.push(link);
        }
      }
      assert.ok(kinds.size >= 8, `${[...kinds.keys()]}`);
      await page.goto(pathToFileURL(join(site, "leaderboard", "index.html")).href);
      const canvas = page.locator(".chart.live .drawing canvas:not([aria-hidden])").first();
      await canvas.waitFor();
      assert.ok(await canvas.evaluate((c) => new Set(new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size > 3), "a chart is drawn");
      assert.deepEqual(failed, [], "no request failed");
      assert.deepEqual(asked.filter((u) => !u.startsWith("file:") && !u.startsWith("data:") && !u.startsWith("blob:")), [], "nothing was asked of another place");

      const plain = await browser.newContext({ javaScriptEnabled: false });
      try {
        const still = await plain.newPage();
        await still.goto(pathToFileURL(join(site, "runs", "index.html")).href);
        await still.locator('tr[data-run]:has(th .under:text-is("better")) a.open').click();
        await still.locator("#head").waitFor();
        assert.match(await still.locator("#step-4").innerText(), /1\.44/);
      } finally {
        await plain.close();
      }
    });
  },
};

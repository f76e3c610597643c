// An experiment that is run while its page is open, stopped and taken up again there.
import assert from "node:assert/strict";
import { join } from "node:path";
import { folder, start, viewer } from "./world.mjs";

const counts = (page) => page.locator("#state").innerText();

export const tests = {
  "an experiment is followed, paused and resumed": async ({ page, url, env }) => {
    const out = join(env.MLGYM_VIEW_ROOT, "exp", "followed");
    await page.goto(`${url}experiments/`);
    const run = start("experiment", "run", "--tasks", "battleOfSexes,prisonersDilemma", "--agents", "demo,baseline", "--seeds", "2", "--variant", "small", "--max-steps", "12", "--memory-mb", "512", "--parallel", "1", "--out", out);
    try {
      // The list shows it by itself.
      const link = page.locator("table.experiments a", { hasText: "followed" });
      await link.waitFor({ timeout: 180_000 });
      await link.click();
      await page.locator("#matrix").waitFor();
      await page.evaluate(() => (window.stayed = true));
      assert.equal(await page.locator("#matrix tbody td a.ep").count(), 8, "a cell for each episode");
      // Cells change while one looks.
      await page.locator("#matrix a.ep.running, #matrix a.ep.done").first().waitFor({ timeout: 180_000 });
      assert.equal(await page.evaluate(() => window.stayed), true, "the page was not loaded anew");
      await page.locator("#pause").click();
      await page.locator("#resume").waitFor({ timeout: 180_000 });
      await run.ended;
      const done = await page.locator("#matrix tbody a.ep.done").count();
      assert.ok(done < 8, "it was stopped before its end");
      assert.match(await counts(page), new RegExp(`${done} of 8 done`));
      await page.locator("#resume").click();
      await page.waitForFunction(() => document.querySelectorAll("#matrix tbody td a.ep.done").length === 8, undefined, { timeout: 180_000 });
      await page.locator("#state", { hasText: "8 of 8 done" }).waitFor({ timeout: 180_000 });
      // By keyboard to an episode, and on to its run.
      await page.keyboard.press("j");
      assert.notEqual(await page.locator("#about").innerText(), "");
      await page.keyboard.press("Enter");
      await page.waitForURL(/experiments|runs/);
      if (/\/episodes\//.test(page.url())) await page.getByRole("link", { name: /open its run/i }).click();
      await page.locator("#head").waitFor();
      assert.match(await page.locator("#head").innerText(), /finished/);
    } finally {
      await run.stop();
    }
    // Whoever may not act has no forms, and what is posted anyhow is refused.
    await folder(async (dir) => {
      const other = await viewer(join(env.MLGYM_VIEW_ROOT, "exp"), dir);
      try {
        await page.goto(`${other.url}experiments/`);
        await page.locator("table.experiments a", { hasText: "followed" }).click();
        await page.locator("#matrix").waitFor();
        assert.equal(await page.locator('form[method="post"]').count(), 0);
        const answer = await page.request.post(new URL("stop", page.url()).href, { form: { csrf: "x" } });
        assert.ok(answer.status() === 403 || answer.status() === 404 || answer.status() === 405, `${answer.status()}`);
      } finally {
        await other.stop();
      }
    });
  },
};

// Runs that go on while their pages are open. They are real ones: mlgym run with a
// person as its agent, who is this test, so that steps come when it says so.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { folder, start, until, viewer } from "./world.mjs";

const begin = (dir, seed) => start("run", "--task", "battleOfSexes", "--variant", "small", "--agent", "human", "--seed", String(seed), "--out", dir);

/** Opens the page of a run that is found in the list by its name. */
const open = async (page, url, name) => {
  await page.goto(`${url}runs/?q=${encodeURIComponent(name)}`);
  const link = page.locator("tr[data-run] a.open").first();
  await link.waitFor({ timeout: 180_000 });
  const address = await link.evaluate((a) => a.href);
  await page.goto(address);
  return address;
};

/** Does an action, and waits until the page shows its step. */
const act = async (run, page, n, action, shows) => {
  run.child.stdin.write(`${action}\n`);
  await page.locator(`#step-${n}:not(.pending)`, { hasText: shows }).waitFor({ state: "attached", timeout: 180_000 });
};

export const tests = {
  "steps of a run appear as they are made, on its page and in the list": async ({ page, context, url, env }) => {
    const list = await context.newPage();
    await list.goto(`${url}runs/?q=live-run`);
    assert.equal(await list.locator("tr[data-run]").count(), 0, "it is not there yet");
    const run = begin(join(env.MLGYM_VIEW_ROOT, "live", "live-run"), 21);
    try {
      // The list shows it without being asked anew.
      await list.locator("tr[data-run]").waitFor({ timeout: 180_000 });
      await open(page, url, "live-run");
      await page.locator("#live").waitFor();
      await page.evaluate(() => (window.stayed = true));
      await act(run, page, 1, "echo the first $((40 + 2))", "the first 42");
      await act(run, page, 2, "echo the second", "the second");
      await page.keyboard.press("f");
      assert.equal(await page.locator("#follow").getAttribute("aria-pressed"), "true");
      await act(run, page, 3, "seq 1 200", "200");
      // Who follows sees the newest step.
      await page.waitForFunction(() => {
        const box = document.getElementById("step-3").getBoundingClientRect();
        return box.bottom <= innerHeight + 400 && box.bottom > 0 && scrollY > 0;
      });
      await page.keyboard.press("k"); // and who moves by hand does not
      await page.waitForFunction(() => document.getElementById("follow").getAttribute("aria-pressed") === "false");
      await list.bringToFront();
      await list.locator('tr[data-run] td.steps[data-value="3"]').waitFor({ timeout: 180_000 });
      await page.bringToFront();
      run.child.stdin.write("submit\n");
      await run.ended;
      assert.equal(run.code, 0, run.said);
      await page.waitForFunction(() => /ended/.test(document.getElementById("live").textContent), undefined, { timeout: 180_000 });
      assert.match(await page.locator("#head").innerText(), /submitted[\s\S]*|finished/);
      assert.match(await page.locator("#head").innerText(), /finished/);
      assert.equal(await page.evaluate(() => window.stayed), true, "the page was not loaded anew");
      await list.bringToFront();
      await list.locator("tr[data-run] td.state", { hasText: "finished" }).waitFor({ timeout: 180_000 });
    } finally {
      await run.stop();
      await list.close();
    }
  },

  "a page finds its run again after the server was started anew": async ({ page, complaints }) => {
    await folder(async (dir) => {
      const root = join(dir, "runs");
      mkdirSync(root);
      const run = begin(join(root, "again"), 22);
      let serving = await viewer(root, dir);
      try {
        await open(page, serving.url, "again");
        await page.locator("#live").waitFor();
        await page.evaluate(() => (window.stayed = true));
        await act(run, page, 1, "echo before", "before");
        await serving.stop();
        await page.waitForFunction(() => /connecting/.test(document.getElementById("live").textContent));
        run.child.stdin.write("echo meanwhile\n");
        await until("the run goes on without a viewer", () => /meanwhile/.test(run.said));
        serving = await viewer(root, dir, "--addr", new URL(serving.url).host);
        await page.locator("#step-2", { hasText: "meanwhile" }).waitFor({ state: "attached", timeout: 180_000 });
        await act(run, page, 3, "echo after", "after");
        assert.equal(await page.locator("#steps article.step:not(#step-0)").count(), 3, "each step once");
        assert.equal(await page.evaluate(() => window.stayed), true, "the page was not loaded anew");
        // That it could not connect for a while is what was tried.
        const others = complaints.filter((c) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(c));
        complaints.length = 0;
        complaints.push(...others);
      } finally {
        await run.stop();
        await serving.stop();
      }
    });
  },
};

// Everything that a mouse reaches, Tab reaches, and one sees where one is.
import assert from "node:assert/strict";

/** What has the focus, and whether one can see that. */
const focus = (page) =>
  page.evaluate(() => {
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    const s = getComputedStyle(e);
    const box = e.getBoundingClientRect();
    return {
      text: (e.getAttribute("aria-label") || e.textContent || e.getAttribute("name") || "").trim().slice(0, 60),
      tag: e.tagName, id: e.id, href: e.getAttribute("href") || "",
      visible: (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none",
      seen: box.width > 0 && box.height > 0 && s.visibility !== "hidden",
    };
  });

export const tests = {
  "the first key leads past the navigation": async ({ page, url }) => {
    for (const path of ["", "runs/", "leaderboard/", "tasks/battleOfSexes/"]) {
      await page.goto(url + path);
      // Numbers that are still computed replace the page once.
      if (path === "leaderboard/") await page.locator("#table-headline").waitFor({ timeout: 120_000 });
      await page.keyboard.press("Tab");
      const first = await focus(page);
      assert.equal(first?.text, "Skip to content", path);
      const box = await page.locator("a.skip").boundingBox();
      assert.ok(box && box.y >= 0 && box.x >= 0, "it is seen while it has the focus");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Tab");
      const inside = await page.evaluate(() => !!document.activeElement?.closest("main, footer"));
      assert.ok(inside, `${path}: the next stop is in the content`);
    }
  },

  "Tab reaches what matters, and shows where it is": async ({ page, url, runs }) => {
    const wanted = {
      "runs/": [/^Runs$/, /^Filter$/, /^compare /, /battle/i],
      [`runs/${runs.good}/`]: [/^Runs$/, /Next step/, /Thoughts/, /Search this run/],
      "search/?q=strategy": [/^Search$/, /battle|step/i],
      "play/": [/^Play$/, /^Start$/],
    };
    for (const [path, names] of Object.entries(wanted)) {
      await page.goto(url + path);
      const met = [];
      for (let i = 0; i < 70; i++) {
        await page.keyboard.press("Tab");
        const at = await focus(page);
        if (!at) break; // around
        assert.ok(at.seen, `${path}: the focus is on something that is not seen: ${JSON.stringify(at)}`);
        assert.ok(at.visible, `${path}: the focus cannot be seen on ${JSON.stringify(at)}`);
        met.push(at.text);
        if (names.every((n) => met.some((m) => n.test(m)))) break;
      }
      for (const name of names) assert.ok(met.some((m) => name.test(m)), `${path}: ${name} was not reached: ${met.join(" | ")}`);
    }
  },

  "a task, its run and a step of it, without a mouse": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/?q=${encodeURIComponent("battleOfSexes/good")}`);
    await page.locator("tr[data-run]").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/runs/${runs.good}/`));
    await page.keyboard.press("G");
    await page.waitForFunction(() => document.querySelector("#steps [aria-current]")?.id === "step-7");
    await page.keyboard.press("o");
    await page.waitForFunction(() => document.querySelector("#step-7.folded"));
    await page.keyboard.press("o");
    await page.waitForFunction(() => !document.querySelector("#step-7.folded"));
    await page.keyboard.press("?");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog[open]"));
  },
};

// One run: its header, its steps, its timeline, by mouse and by keyboard.
import assert from "node:assert/strict";

/** Waits until a question about the page is answered by yes. */
const until = (page, question, arg) => page.waitForFunction(question, arg);

/** The number of the step that has the reader's attention. */
const current = (page) => page.evaluate(() => document.querySelector("#steps [aria-current]")?.id ?? "");

export const tests = {
  "the header says how it went": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/`);
    const text = await page.locator("#head").innerText();
    for (const want of ["1.3100", "1.0200", "autosubmission (max_steps)", "finished"]) assert.ok(text.includes(want), `the header lacks ${want}: ${text}`);
    await until(page, () => /clean/.test(document.getElementById("audit")?.textContent ?? ""));
  },

  "a step has its thought, action and output": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/`);
    const second = page.locator("#step-2");
    assert.equal(await second.locator("strong", { hasText: "starter" }).count(), 1, "Markdown of the thought");
    assert.match(await second.innerText(), /cat strategy\.py/);
    assert.match(await page.locator("#step-5 .ansi-green, #step-5 [class*=ansi]").first().innerText(), /ok/);
    const progress = await page.locator("#step-6").innerText();
    assert.ok(progress.includes("epoch 3") && !progress.includes("epoch 1 loss 0.91"), `a bar of progress shows its end: ${progress}`);
    assert.match(await page.locator("#step-4").innerText(), /replace lines 1 to 2/);
    assert.equal(await page.locator('#step-7 img[src$="loss.png"]').count(), 1, "the picture that the agent made");
    await page.locator("#step-7 img").first().scrollIntoViewIfNeeded();
    await until(page, () => document.querySelector("#step-7 img").naturalWidth === 1);
  },

  "keys walk through the steps": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/`);
    await page.keyboard.press("j");
    await until(page, () => document.querySelector("#steps [aria-current]"));
    const first = await current(page);
    await page.keyboard.press("j");
    await until(page, (id) => document.querySelector("#steps [aria-current]").id !== id, first);
    await page.keyboard.press("k");
    await until(page, (id) => document.querySelector("#steps [aria-current]").id === id, first);
    await page.keyboard.press("G");
    await until(page, () => document.querySelector("#steps [aria-current]").id === "step-7");
    await page.keyboard.press("g");
    await until(page, () => document.querySelector("#steps [aria-current]").id === "step-1");
    await page.keyboard.press("n");
    await until(page, () => document.querySelector("#steps [aria-current]").id === "step-3");
    await page.keyboard.press("n");
    await until(page, () => document.querySelector("#steps [aria-current]").id === "step-7");
    await page.keyboard.press("?");
    assert.match(await page.locator("dialog[open]").innerText(), /next step/);
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("dialog[open]").count(), 0);
  },

  "a search inside the run finds its steps": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/`);
    await page.keyboard.press("/");
    await page.keyboard.type("default_rng");
    await page.keyboard.press("Enter");
    await until(page, () => document.querySelector("#steps [aria-current]")?.id === "step-6");
    assert.ok((await page.locator("#step-6 mark, #found mark").count()) > 0, "what was found is marked");
  },

  "thousands of steps: a link leads to one of them, and few are kept": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.long}/#step-1200`);
    await page.locator("#step-1200").waitFor();
    await until(page, () => {
      const box = document.getElementById("step-1200").getBoundingClientRect();
      return box.top >= -5 && box.top < innerHeight;
    });
    await page.keyboard.press("g");
    await until(page, () => {
      const step = document.getElementById("step-1");
      return step && step.getBoundingClientRect().top < innerHeight && step.getBoundingClientRect().bottom > 0;
    });
    // Scrolling through all of it leaves a bounded number of steps on the page.
    for (let i = 0; i < 30; i++) {
      await page.mouse.wheel(0, 20_000);
      await page.waitForTimeout(60);
    }
    const kept = await page.locator("#steps article.step").count();
    assert.ok(kept > 0 && kept <= 600, `${kept} steps are on the page`);
  },

  "a long output is folded, and opened when wanted": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.long}/`);
    const step = page.locator("#step-1");
    const before = (await step.innerText()).length;
    assert.ok(before < 40_000, `${before} characters are shown at first`);
    const whole = await page.request.get(`${url}runs/${runs.long}/observation/1.txt`);
    assert.equal(whole.status(), 200);
    assert.match(whole.headers()["content-type"], /^text\/plain/);
    assert.ok((await whole.body()).length > 1_500_000);
  },

  "the exact prompt": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/prompt/3/`);
    assert.match(await page.locator("main").innerText(), /\(step 3\)/);
  },

  "files that were handed in": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.good}/files/7/`);
    await page.getByRole("link", { name: "strategy.py" }).click();
    await page.waitForURL(/strategy\.py/);
    assert.ok((await page.locator("main").innerText()).includes("return history[-1][1]"));
  },

  "what is damaged is shown as what it is": async ({ page, url, runs }) => {
    for (const [name, says] of [["torn", /torn|cut|whole line/i], ["broken", /jsonl:\d+: not an event/], ["empty", /record|trajectory/i], ["bare", /manifest/i]]) {
      const answer = await page.goto(`${url}runs/${runs[name]}/`);
      assert.equal(answer.status(), 200, name);
      assert.match(await page.locator("main").innerText(), says, name);
    }
    await page.goto(`${url}runs/${runs.torn}/`);
    assert.equal(await page.locator("#step-3").count(), 1, "the steps before the torn line are there");
    await page.goto(`${url}runs/${runs.binary}/`);
    assert.match(await page.locator("#step-1").innerText(), /\u2400|␀/);
    await page.goto(`${url}runs/${runs.lines}/`);
    assert.match(await page.locator("#step-1").innerText(), /999|1\s?000\s?000|lines/);
  },
};

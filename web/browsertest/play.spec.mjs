// A person works on a task in the browser, to its end.
import assert from "node:assert/strict";

const ended = (page) => page.waitForFunction(() => document.getElementById("interrupt").hidden && !document.getElementById("send").disabled, undefined, { timeout: 180_000 });

export const tests = {
  "an episode is played to its end": async ({ page, url }) => {
    page.on("dialog", (d) => d.accept());
    await page.goto(`${url}play/`);
    await page.locator("#start select[name=task]").selectOption("battleOfSexes");
    await page.locator("#start select[name=variant]").selectOption("small");
    await page.getByLabel("Seed").fill("5");
    await page.getByLabel("Limit of steps").fill("12");
    await page.getByRole("button", { name: "Start" }).click();
    await page.locator("#game").waitFor({ timeout: 180_000 });
    assert.match(await page.locator(".statement").innerText(), /strateg/i);

    // A command, by keyboard.
    await page.locator("#command").fill("echo $((6 * 7))");
    await page.keyboard.press("Enter");
    await page.locator("#transcript .entry", { hasText: "42" }).first().waitFor({ timeout: 180_000 });
    await ended(page);
    await page.locator("#command").press("ArrowUp");
    assert.equal(await page.locator("#command").inputValue(), "echo $((6 * 7))", "the earlier command is there again");
    await page.locator("#command").fill("");

    // A file, in the editor.
    await page.locator("#files button", { hasText: "strategy.py" }).click();
    await page.waitForFunction(() => document.getElementById("editor-name").value === "strategy.py", undefined, { timeout: 180_000 });
    await ended(page);
    const editor = page.locator("#editor .cm-content, #editor-text:visible").first();
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await editor.fill("def row_strategy(history):\n    return 0\n");
    assert.match(await page.locator("#editor-note").innerText(), /not saved/i);
    await page.locator("#editor-save").click();
    await page.waitForFunction(() => !/not saved|saving|changed/i.test(document.getElementById("editor-note").textContent), undefined, { timeout: 180_000 });
    await ended(page);
    await page.locator("#command").fill("cat strategy.py");
    await page.keyboard.press("Enter");
    await page.locator("#transcript .entry", { hasText: /^(?=[\s\S]*cat strategy\.py)(?=[\s\S]*return 0)/ }).first().waitFor({ timeout: 180_000 });
    await ended(page);

    // What runs too long is interrupted.
    await page.locator("#command").fill("sleep 300");
    await page.keyboard.press("Enter");
    await page.locator("#interrupt").click();
    await page.locator("#transcript .entry", { hasText: /interrupted/ }).first().waitFor({ timeout: 180_000 });
    await ended(page);

    await page.locator("#validate").click();
    await page.locator("#transcript .entry", { hasText: /validate/i }).last().waitFor({ timeout: 180_000 });
    await ended(page);
    await page.locator("#hand-in summary").click();
    await page.locator("#submit").click();
    await page.locator("#result").waitFor({ timeout: 120_000 });
    assert.match(await page.locator("#result").innerText(), /the episode is over: submitted/i);
    await page.locator("#recorded").click({ timeout: 120_000 });
    await page.locator("#head").waitFor();
    assert.match(await page.locator("#head").innerText(), /finished/);
    assert.match(await page.locator("#step-1").innerText(), /42/);
  },

  "an address of nobody's episode says so": async ({ page, url, complaints }) => {
    const answer = await page.goto(`${url}play/no-such-episode/`);
    assert.equal(answer.status(), 404);
    complaints.length = 0;
  },
};

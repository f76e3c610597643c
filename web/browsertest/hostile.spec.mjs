// What an agent wrote is text: nothing of it is executed, loaded or obeyed.
import assert from "node:assert/strict";

export const tests = {
  "no page executes what an agent wrote": async ({ page, context, url, runs, complaints }) => {
    const asked = [];
    page.on("request", (r) => asked.push(r.url()));
    const key = runs.hostile;
    const paths = [
      `runs/${key}/`, `runs/${key}/prompt/1/`, `runs/${key}/files/1/`, `runs/${key}/steps/1/`, "runs/", "search/?q=pwned", `compare/${key},${runs.good}/`,
      `compare/${key},${runs.good}/files/`, "", "leaderboard/", "tasks/battleOfSexes/",
    ];
    for (const path of paths) {
      await page.goto(url + path);
      await page.waitForTimeout(150);
      const harm = await page.evaluate(() => ({
        pwned: "pwned" in window,
        frames: document.querySelectorAll("iframe, object, embed").length,
        handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))).length,
        scripts: [...document.querySelectorAll("a[href]")].filter((a) => /^\s*(javascript|data|vbscript):/i.test(a.getAttribute("href"))).length,
        hidden: getComputedStyle(document.body).display === "none",
      }));
      assert.deepEqual(harm, { pwned: false, frames: 0, handlers: 0, scripts: 0, hidden: false }, path);
    }
    // The text itself is there to be read.
    await page.goto(`${url}runs/${key}/`);
    assert.ok((await page.locator("#step-1").innerText()).includes("<script>window.pwned=1</script>"));
    assert.ok(!(await page.content()).includes("\u202e"), "what turns the direction of text is written out");
    const elsewhere = asked.filter((u) => !u.startsWith(url) && !u.startsWith("data:"));
    assert.deepEqual(elsewhere, [], "nothing was asked of another place");
    assert.deepEqual(complaints, []);
    void context;
  },

  "files of an agent are never pages": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.hostile}/files/1/`);
    const pages = await page.locator("table.files a").evaluateAll((all) => all.map((a) => a.href));
    assert.equal(pages.length, 3, "there are pages of files");
    const links = [];
    for (const one of pages) {
      await page.goto(one);
      assert.equal(await page.evaluate(() => "pwned" in window), false, one);
      links.push(...(await page.locator(`a[href*="/file/"]`).evaluateAll((all) => all.map((a) => a.href))));
    }
    assert.ok(links.length >= 3, `there are links to the files themselves: ${links}`);
    for (const link of links) {
      const answer = await page.request.get(link);
      const kind = answer.headers()["content-type"] ?? "";
      assert.ok(/^(text\/plain|application\/octet-stream|image\/(png|jpeg|gif|webp))/.test(kind), `${link} is served as ${kind}`);
      assert.equal(answer.headers()["x-content-type-options"], "nosniff");
    }
  },

  "the policy allows nothing inline": async ({ page, url, complaints }) => {
    const answer = await page.goto(url);
    assert.match(answer.headers()["content-security-policy"], /default-src 'none'/);
    assert.doesNotMatch(answer.headers()["content-security-policy"], /unsafe/);
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.pwned = 1";
      document.body.append(script);
    });
    assert.equal(await page.evaluate(() => "pwned" in window), false, "an inline script did not run");
    assert.ok(complaints.length > 0, "the browser said that it refused");
    complaints.length = 0;
  },
};

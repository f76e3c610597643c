// Light and dark, narrow screens, no JavaScript, and what a screen reader meets.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// The kinds of pages; experiments.spec.mjs, which comes before, leaves an experiment behind.
const pages = async (page, url, runs) => {
  await page.goto(`${url}experiments/`);
  const experiments = await page.locator("table.experiments th a").evaluateAll((all) => all.map((a) => new URL(a.href).pathname.slice(1)));
  return [
    "", "runs/", "runs/?sort=score&model=model-b", `runs/${runs.good}/`, `runs/${runs.running}/`, `runs/${runs.broken}/`, `runs/${runs.hostile}/`, `runs/${runs.good}/files/7/`, `runs/${runs.good}/prompt/2/`,
    `compare/${runs.good},${runs.better}/`, `compare/${runs.good},${runs.better}/files/`, "search/", "search/?q=strategy", "search/?q=xyzzyxyzzy", "experiments/", ...experiments.slice(0, 1),
    "leaderboard/", "leaderboard/corrected/", "tasks/", "tasks/battleOfSexes/", "play/",
  ];
};

/** Opens a page, until it stands. */
const open = async (page, url, path) => {
  await page.goto(url + path);
  if (path.startsWith("leaderboard/")) await page.locator("#table-headline").waitFor({ timeout: 120_000 }); // it is computed first
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
};

/** What axe finds wrong on a page, in a line each. */
const wrong = async (page) => {
  // A page's own policy allows no script of a test; a debugger's context is exempt from it.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, grantUniveralAccess: true });
  await session.send("Runtime.evaluate", { expression: axe, contextId: executionContextId });
  const answer = await session.send("Runtime.evaluate", {
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }).then((r) => JSON.stringify(r.violations.map((v) => v.id + " (" + v.impact + "): " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).join(" | "))))`,
    contextId: executionContextId, awaitPromise: true, returnByValue: true,
  });
  assert.equal(answer.exceptionDetails, undefined, JSON.stringify(answer.exceptionDetails));
  return JSON.parse(answer.result.value);
};

export const tests = {};

for (const scheme of ["light", "dark"]) {
  tests[`${scheme} pages can be read by everybody`] = async ({ page, url, runs }) => {
    await page.emulateMedia({ colorScheme: scheme });
    page.setDefaultTimeout(120_000);
    const found = [];
    for (const path of await pages(page, url, runs)) {
      await open(page, url, path);
      const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      assert.equal(background, scheme === "dark" ? "rgb(20, 23, 28)" : "rgb(255, 255, 255)", path);
      for (const line of await wrong(page)) found.push(`${path}: ${line}`);
    }
    assert.deepEqual(found, []);
  };
}

tests["the switch of colours is remembered"] = async ({ page, url }) => {
  await page.goto(url);
  await page.locator("#theme").click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.goto(`${url}runs/`);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.locator("#theme").click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await page.evaluate(() => localStorage.clear());
};

tests["a phone needs no scrolling sideways"] = async ({ page, url, runs }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = [];
  for (const path of [...(await pages(page, url, runs)), `runs/${runs.long}/`, `runs/${runs.binary}/`]) {
    await open(page, url, path);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > 360) wide.push(`${path}: ${width} pixels`);
  }
  assert.deepEqual(wide, []);
};

tests["reading needs no JavaScript"] = async ({ browser, url, runs }) => {
  const plain = await browser.newContext({ javaScriptEnabled: false });
  try {
    const page = await plain.newPage();
    await page.goto(`${url}runs/${runs.good}/`);
    assert.match(await page.locator("#step-7").innerText(), /1\.31/);
    await page.goto(`${url}runs/${runs.long}/`);
    await page.goto(`${url}runs/${runs.long}/steps/1301/`);
    assert.equal(await page.locator("#step-1301").count(), 1);
    await page.goto(`${url}search/?q=opponent`);
    assert.ok((await page.locator("mark").count()) > 0);
    await page.goto(`${url}leaderboard/`);
    assert.ok((await page.locator("table").count()) > 0);
  } finally {
    await plain.close();
  }
};

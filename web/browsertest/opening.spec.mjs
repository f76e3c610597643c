// Every page opens, has a heading, and complains of nothing.
import assert from "node:assert/strict";

const paths = ["", "runs/", "experiments/", "leaderboard/", "search/", "tasks/", "play/"];

export const tests = Object.fromEntries(
  paths.map((path) => [
    `opens ${path || "the first page"}`,
    async ({ page, url }) => {
      const answer = await page.goto(url + path);
      assert.equal(answer.status(), 200);
      assert.notEqual(await page.locator("h1").first().innerText(), "");
      assert.equal(await page.locator("main").count(), 1);
    },
  ]),
);

tests["a page that is not there says so"] = async ({ page, url, complaints }) => {
  const answer = await page.goto(`${url}no-such-page/`);
  assert.equal(answer.status(), 404);
  assert.match(await page.locator("main").innerText(), /no such page/i);
  complaints.length = 0; // the browser says that it was a 404
};

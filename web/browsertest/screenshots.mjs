// Pictures of the pages, for people to look at; scripts/screenshots.sh takes them.
import { join } from "node:path";
import { mlgym } from "./world.mjs";

const looks = [
  { name: "light", colorScheme: "light", width: 1280, height: 900 },
  { name: "dark", colorScheme: "dark", width: 1280, height: 900 },
  { name: "phone", colorScheme: "light", width: 360, height: 740 },
];

export const tests = {};

tests["real runs are made"] = async ({ env }) => {
  await mlgym("experiment", "run", "--tasks", "battleOfSexes,prisonersDilemma", "--agents", "demo,baseline", "--seeds", "2", "--variant", "small", "--memory-mb", "512", "--quiet", "--out", join(env.MLGYM_VIEW_ROOT, "real"));
};

for (const look of looks) {
  tests[`pictures, ${look.name}`] = async ({ browser, url, runs, env, complaints }) => {
    const context = await browser.newContext({ viewport: { width: look.width, height: look.height }, colorScheme: look.colorScheme, locale: "en-GB", timezoneId: "UTC" });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    const take = async (name, path, prepare) => {
      await page.goto(url + path);
      if (path.startsWith("leaderboard/")) await page.locator("#table-headline").waitFor();
      await prepare?.(page);
      const tall = await page.evaluate(() => document.documentElement.scrollHeight);
      if (path.startsWith("leaderboard/")) {
        // Charts are drawn when they come near.
        for (let y = 0; y < tall; y += look.height) {
          await page.evaluate((to) => window.scrollTo(0, to), y);
          await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
        }
        await page.evaluate(() => window.scrollTo(0, 0));
      }
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
      const clip = { x: 0, y: 0, width: look.width, height: Math.min(Math.max(tall, look.height), 3200) };
      await page.screenshot({ path: join(env.MLGYM_SCREENSHOTS_OF_ALL, `${name}-${look.name}.png`), fullPage: true, clip });
    };
    try {
      await take("home", "");
      await take("runs", "runs/");
      for (const name of ["good", "hostile", "long", "running", "torn", "broken", "empty", "bare", "lines", "binary"]) await take(`run-${name}`, `runs/${runs[name]}/`);
      await take("files", `runs/${runs.good}/files/7/`);
      await take("prompt", `runs/${runs.good}/prompt/2/`);
      await take("audit", `runs/${runs.good}/audit/`);
      await take("compare", `compare/${runs.good},${runs.better}/`);
      await take("compare-files", `compare/${runs.good},${runs.better}/files/`);
      await take("search", "search/");
      await take("search-found", "search/?q=strategy");
      await take("search-nothing", "search/?q=xyzzyxyzzy");
      await take("experiments", "experiments/");
      const experiment = await page.locator("table.experiments th a").first().evaluate((a) => new URL(a.href).pathname.slice(1));
      await take("experiment", experiment);
      await take("episodes", `${experiment}episodes/`);
      const episode = await page.locator(`a[href*="/episodes/"]`).last().evaluate((a) => new URL(a.href).pathname.slice(1));
      await take("episode", episode);
      const run = await page.getByRole("link", { name: /open its run/i }).first().evaluate((a) => new URL(a.href).pathname.slice(1)).catch(() => "");
      if (run) await take("run-real", run);
      await take("leaderboard", "leaderboard/");
      await take("leaderboard-small", "leaderboard/corrected/?variant=small");
      await take("tasks", "tasks/");
      await take("task", "tasks/battleOfSexes/");
      await take("play", "play/");
      await take("play-game", "play/", async (p) => {
        await p.locator("#start select[name=task]").selectOption("battleOfSexes");
        await p.locator("#start select[name=variant]").selectOption("small");
        await p.getByRole("button", { name: "Start" }).click();
        await p.locator("#game").waitFor();
        await p.locator("#command").fill("ls -la; python3 --version");
        await p.locator("#send").click();
        await p.locator("#transcript .entry", { hasText: /Python 3/ }).first().waitFor();
        await p.locator("#files button", { hasText: "strategy.py" }).click();
        await p.waitForFunction(() => document.getElementById("editor-name").value === "strategy.py");
        await p.waitForFunction(() => document.getElementById("interrupt").hidden && !document.getElementById("send").disabled);
      });
      await p404(take, complaints);
    } finally {
      await context.close();
    }
  };
}

const p404 = async (take, complaints) => {
  await take("not-there", "no-such-page/");
  complaints.length = 0;
};

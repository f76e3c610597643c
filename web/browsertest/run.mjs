// Runs the specs that are named on the command line in one browser, and prints
// a JSON line for each test: {name, ok, error, skipped, seconds}. browser_test.go
// starts it; what a spec needs of the world it finds in the environment.
import { chromium } from "playwright-core";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const browser = await chromium.launch({
  executablePath: process.env.MLGYM_CHROMIUM || "/usr/bin/chromium",
  // The browser runs beside tests as root in a container, where its own sandbox
  // cannot be made, and has nothing to look for outside this machine.
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", timezoneId: "UTC" });
context.setDefaultTimeout(120_000);
let failed = false;
try {
  for (const file of process.argv.slice(2)) {
    const spec = await import(pathToFileURL(file).href);
    for (const [name, test] of Object.entries(spec.tests)) {
      const began = performance.now();
      const result = { name, ok: true, error: "", seconds: 0 };
      const page = await context.newPage();
      // What a page says went wrong fails its test, unless the test expects it.
      const complaints = [];
      page.on("pageerror", (e) => complaints.push(`error on the page: ${e.stack ?? e}`));
      page.on("console", (m) => {
        if (m.type() === "error") complaints.push(`on the console: ${m.text()} (${m.location().url})`);
      });
      try {
        await test({ page, context, browser, complaints, url: process.env.MLGYM_VIEW, runs: JSON.parse(process.env.MLGYM_VIEW_RUNS ?? "{}"), env: process.env });
        if (complaints.length > 0) throw new Error(complaints.join("\n"));
      } catch (e) {
        failed = true;
        result.ok = false;
        result.error = `${e.stack ?? e}\n${complaints.join("\n")}\nat ${page.url()}`;
        if (process.env.MLGYM_SCREENSHOTS) {
          await page.screenshot({ path: join(process.env.MLGYM_SCREENSHOTS, `failed-${name.replaceAll(/\W+/g, "-")}.png`) }).catch(() => {});
        }
      } finally {
        await page.close().catch(() => {});
      }
      result.seconds = (performance.now() - began) / 1000;
      console.log(JSON.stringify(result));
    }
  }
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);

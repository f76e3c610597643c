// Measures what a reader of long runs waits for; scripts/view_bench.sh runs it. It prints
// a line for each question. Times of the clock mean little on a machine that does
// other things too: beside them stand those of a page with one sentence, measured in
// turns, and for scrolling the processor's time of the browser's main thread.
import { performance } from "node:perf_hooks";

const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
const times = Number(process.env.MLGYM_VIEW_BENCH_TIMES || 9);

export const tests = {
  "a long run: first contentful paint": async ({ page, url, runs, complaints }) => {
    const of = { long: { paints: [], answers: [] }, sentence: { paints: [], answers: [] } };
    for (let i = 0; i < times; i++) {
      for (const [name, path] of [["sentence", "no-such-page/"], ["long", `runs/${runs.long}/`]]) {
        await page.goto(url + path);
        const { paint, answer } = await page.evaluate(
          () =>
            new Promise((resolve) => {
              new PerformanceObserver((list) => {
                const first = list.getEntriesByName("first-contentful-paint")[0];
                if (first) resolve({ paint: first.startTime, answer: performance.getEntriesByType("navigation")[0].responseEnd });
              }).observe({ type: "paint", buffered: true });
            }),
        );
        of[name].paints.push(paint);
        of[name].answers.push(answer);
      }
    }
    complaints.length = 0; // the page with one sentence is a 404
    for (const [name, m] of Object.entries(of)) {
      console.log(`${name}: first contentful paint, median ${median(m.paints).toFixed(0)} ms, from ${Math.min(...m.paints).toFixed(0)} to ${Math.max(...m.paints).toFixed(0)} ms; the answer had come after ${median(m.answers).toFixed(0)} ms`);
    }
  },

  "a long run: scrolling through all of it": async ({ page, url, runs }) => {
    await page.goto(`${url}runs/${runs.long}/`);
    const session = await page.context().newCDPSession(page);
    const heap = async () => {
      await session.send("HeapProfiler.collectGarbage");
      const { metrics } = await session.send("Performance.getMetrics");
      const of = (name) => metrics.find((m) => m.name === name).value;
      return { mb: of("JSHeapUsedSize") / 1e6, nodes: of("Nodes") };
    };
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const busy = async () => (await session.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value * 1000;
    const before = await heap();
    const worked = await busy();
    await page.evaluate(() => {
      window.long = [];
      new PerformanceObserver((list) => window.long.push(...list.getEntries().map((e) => e.duration))).observe({ type: "longtask" });
      window.frames = [];
      let last = performance.now();
      const frame = (now) => {
        window.frames.push(now - last);
        last = now;
        if (!window.enough) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    const began = performance.now();
    let turns = 0;
    for (; turns < 4000; turns++) {
      await page.mouse.wheel(0, 900);
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
      if (turns % 20 === 0 && (await page.evaluate(() => scrollY + innerHeight >= document.documentElement.scrollHeight - 5))) break;
    }
    const work = (await busy()) - worked;
    const { frames, long } = await page.evaluate(() => ((window.enough = true), { frames: window.frames, long: window.long }));
    const sorted = [...frames].sort((a, b) => a - b);
    const after = await heap();
    const steps = await page.locator("#steps article.step").count();
    console.log(
      `scrolling: ${turns + 1} turns of the wheel in ${((performance.now() - began) / 1000).toFixed(1)} s; frames: median ${median(frames).toFixed(0)} ms, 99th of 100 ${sorted[Math.floor(sorted.length * 0.99)].toFixed(0)} ms, longest ${sorted.at(-1).toFixed(0)} ms; ` +
        `processor time of the main thread ${(work / frames.length).toFixed(1)} ms a frame, ${(work / (turns + 1)).toFixed(0)} ms a turn of 900 pixels; tasks over 50 ms: ${long.length}${long.length ? `, longest ${Math.max(...long).toFixed(0)} ms` : ""}; heap of scripts ${before.mb.toFixed(1)} MB before, ${after.mb.toFixed(1)} MB after; nodes ${before.nodes} before, ${after.nodes} after; ${steps} steps in the page`,
    );
  },
};

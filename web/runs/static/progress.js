// @ts-check
// How far the reading of runs is, on pages that show runs: one stream of events, closed
// while the page is not seen, since a browser has few connections for all its tabs. What
// it says comes to the page's own script as the event "mlgym-runs" of the document.
(() => {
  "use strict";

  /** @typedef {{generation: number, reading: boolean, waiting: boolean, runs: number, all_runs: number, bytes: number, all_bytes: number, error?: string}} News */

  /** @param {number} n */
  const size = (n) => (n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`);

  /** @param {News} news */
  const show = (news) => {
    const box = document.getElementById("progress");
    const text = document.getElementById("progress-text");
    const bar = /** @type {HTMLProgressElement | null} */ (document.getElementById("progress-bar"));
    const error = document.getElementById("progress-error");
    if (box) box.hidden = !news.reading;
    if (text && news.reading) {
      text.textContent = news.waiting
        ? "Another program is reading the runs; waiting for it."
        : `Reading runs: ${news.runs} of ${news.all_runs}, ${size(news.bytes)} of ${size(news.all_bytes)}.`;
    }
    if (bar && news.reading) {
      bar.max = news.all_bytes || 1;
      bar.value = news.bytes;
    }
    if (error) {
      error.textContent = news.error ?? "";
      error.hidden = !news.error;
    }
  };

  const address = /** @type {HTMLElement | null} */ (document.querySelector("[data-events]"))?.dataset.events;
  if (!address) return;
  /** @type {EventSource | undefined} */
  let source;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("list", (e) => {
      const news = /** @type {News} */ (JSON.parse(/** @type {MessageEvent<string>} */ (e).data));
      show(news);
      document.dispatchEvent(new CustomEvent("mlgym-runs", { detail: news }));
    });
  };
  const close = () => {
    source?.close();
    source = undefined;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
})();

// @ts-check
// The leaderboard: waits for numbers that are being computed, and draws the charts.
(() => {
  "use strict";

  /**
   * Asks for the progress until done says so.
   * @param {string} source @param {(p: any) => boolean} done
   */
  const follow = async (source, done) => {
    for (;;) {
      try {
        const answer = await fetch(source, { cache: "no-store" });
        if (answer.ok && done(await answer.json())) return;
      } catch {
        // The server is gone for a moment, or for good; asking is cheap.
      }
      await new Promise((r) => setTimeout(r, document.hidden ? 3000 : 500));
    }
  };

  const computing = document.getElementById("computing");
  if (computing && computing.dataset.source) {
    const phase = document.getElementById("phase");
    const count = document.getElementById("count");
    const bar = computing.querySelector("progress");
    follow(computing.dataset.source, (p) => {
      if (p.ready || p.err) {
        location.reload();
        return true;
      }
      if (phase) phase.textContent = p.phase;
      if (count) count.textContent = p.all ? `(${p.done} of ${p.all})` : "";
      if (bar) {
        if (p.all) {
          bar.max = p.all;
          bar.value = p.done;
        } else bar.removeAttribute("value");
      }
      return false;
    });
  }

  // Newer numbers are offered and do not push away what is being read.
  const newer = document.getElementById("newer");
  const reload = document.getElementById("reload");
  if (newer && newer.dataset.source && reload) {
    const have = newer.dataset.at;
    follow(newer.dataset.source, (p) => {
      if (p.running) return false;
      // Nanoseconds are more than a double holds exactly; a nanosecond does not matter.
      if (p.ready && Number(p.at) !== Number(have)) {
        reload.hidden = false;
        reload.addEventListener("click", (e) => {
          e.preventDefault();
          location.reload();
        });
      }
      return true;
    });
  }

  if (window.mlgymCharts) window.mlgymCharts.drawAll(document);
  else for (const figure of document.querySelectorAll(".chart.live")) figure.classList.remove("live");
})();

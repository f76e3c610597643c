// @ts-check
// The page of a search: fields that apply at once, keys, and how far the reading is.
(() => {
  "use strict";

  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("filters"));
  if (!form) return;
  const text = /** @type {HTMLInputElement | null} */ (document.getElementById("filter-text"));
  form.addEventListener("change", (e) => {
    const field = e.target;
    if (!text?.value) return;
    if (field instanceof HTMLSelectElement || (field instanceof HTMLInputElement && field.type === "checkbox")) form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    const fields = [...form.querySelectorAll("input, select")].map((f) => /** @type {HTMLInputElement} */ (f));
    for (const field of fields) if (field.value === "") field.disabled = true;
    setTimeout(() => {
      for (const field of fields) field.disabled = false;
    });
  });

  const hits = () => [...document.querySelectorAll("a.hit")].map((a) => /** @type {HTMLElement} */ (a));
  /** @param {number} by */
  const move = (by) => {
    const all = hits();
    if (all.length === 0) return;
    const now = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + by));
    all[to].focus();
    all[to].scrollIntoView({ block: "nearest" });
  };
  mlgym.keys([
    { key: "j", text: "next step found; Enter opens it", run: () => move(1) },
    { key: "k", text: "previous step found", run: () => move(-1) },
    {
      key: "/",
      text: "search",
      run: () => {
        text?.focus();
        text?.select();
      },
    },
  ]);

  // While runs are read, more may be found from moment to moment: said, not done, since
  // the reader may be reading.
  let was = false;
  document.addEventListener("mlgym-runs", (e) => {
    const news = /** @type {CustomEvent} */ (e).detail;
    if (was && !news.reading && text?.value) {
      const count = document.getElementById("count");
      const again = document.createElement("a");
      again.href = location.href;
      again.textContent = "All runs are read now: search again.";
      count?.append(" ", again);
    }
    was = news.reading;
  });
})();

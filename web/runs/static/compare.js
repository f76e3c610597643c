// @ts-check
// A comparison: charts to be asked, and rows that open in place.
(() => {
  "use strict";

  /** @typedef {{label: string, color: number, points: [number, number][], titles?: string[]}} Line */
  /** @typedef {{x: string, y: string, x_unit: string, y_unit: string, level?: number, level_name?: string, series: Line[]}} Data */

  /** @param {number} s */
  const duration = (s) => {
    if (s < 120) return `${Math.round(s)} s`;
    if (s < 7200) return `${Math.round(s / 60)} min`;
    return `${(s / 3600).toFixed(1)} h`;
  };
  /** @param {string} unit @param {number} x */
  const named = (unit, x) => {
    if (unit === "seconds") return duration(x);
    if (unit === "usd") return `$${x.toFixed(x < 1 ? 3 : 2)}`;
    return Number(x.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
  };

  /**
   * The names below a chart switch its lines. Which are off stays when it is drawn again.
   * @param {Element} figure @param {any} chart
   */
  const legend = (figure, chart) => {
    [...figure.querySelectorAll(".legend li")].forEach((item, index) => {
      let button = item.querySelector("button");
      if (!button) {
        button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        button.append(...item.childNodes);
        item.replaceChildren(button);
      }
      const name = button;
      const set = () => {
        chart.setDatasetVisibility(index, name.getAttribute("aria-pressed") === "true");
        chart.update();
      };
      name.onclick = () => {
        name.setAttribute("aria-pressed", String(name.getAttribute("aria-pressed") !== "true"));
        set();
      };
      if (name.getAttribute("aria-pressed") !== "true") set();
    });
  };

  /** A step of an axis of times that is whole in minutes or hours. @param {Data} data */
  const step = (data) => {
    let end = 0;
    for (const line of data.series) for (const point of line.points) end = Math.max(end, point[0]);
    return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400].find((s) => end / s <= 8);
  };

  /** @type {{destroy(): void}[]} */
  let drawn = [];
  const draw = () => {
    // The library may not be part of this build: the drawing of the server stays.
    if (typeof Chart === "undefined") return;
    for (const chart of drawn) chart.destroy();
    drawn = [];
    for (const figure of document.querySelectorAll("figure.chart")) {
      const id = /** @type {HTMLElement} */ (figure).dataset.chart ?? "";
      const data = /** @type {Data | null} */ (mlgym.data(`data-${id}`));
      if (!data) continue;
      figure.querySelector("svg")?.remove();
      let box = /** @type {HTMLElement | null} */ (figure.querySelector(".plot"));
      if (!box) {
        box = document.createElement("div");
        box.className = "plot";
        figure.querySelector("figcaption")?.after(box);
      }
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${figure.querySelector("figcaption")?.textContent ?? ""}; the numbers stand in the tables of this page`);
      box.replaceChildren(canvas);
      const soft = mlgym.color("--text-soft");
      const grid = mlgym.color("--line");
      const datasets = data.series.map((s) => {
        const color = mlgym.color(`--c${s.color}`);
        return {
          label: s.label,
          data: s.points.map(([x, y]) => ({ x, y })),
          titles: s.titles,
          borderColor: color,
          backgroundColor: color,
          borderWidth: 1.8,
          borderDash: /** @type {number[]} */ ([]),
          pointRadius: s.titles ? 3.5 : 0,
          pointHoverRadius: 6,
          pointHitRadius: 8,
        };
      });
      if (data.level !== undefined) {
        let end = 1;
        for (const line of data.series) for (const point of line.points) end = Math.max(end, point[0]);
        datasets.push({
          label: data.level_name ?? "",
          data: [
            { x: 0, y: data.level },
            { x: end, y: data.level },
          ],
          titles: undefined,
          borderColor: soft,
          backgroundColor: soft,
          borderWidth: 1.5,
          borderDash: [5, 4],
          pointRadius: 0,
          pointHoverRadius: 0,
          pointHitRadius: 0,
        });
      }
      /** @param {string} name @param {string} unit */
      const axis = (name, unit) => ({
        type: "linear",
        title: { display: true, text: name, color: soft },
        ticks: { color: soft, stepSize: unit === "seconds" ? step(data) : undefined, maxTicksLimit: 9, callback: (/** @type {number} */ v) => named(unit, v) },
        grid: { color: grid },
      });
      const chart = new Chart(canvas, {
        type: "line",
        data: { datasets },
        options: {
          animation: false,
          responsive: true,
          maintainAspectRatio: false,
          interaction: { mode: "nearest", intersect: false },
          scales: { x: axis(data.x, data.x_unit), y: axis(data.y, data.y_unit) },
          plugins: {
            tooltip: {
              callbacks: {
                title: (/** @type {any[]} */ items) => (items.length ? `${data.x} ${named(data.x_unit, items[0].parsed.x)}` : ""),
                label: (/** @type {any} */ item) => item.dataset.titles?.[item.dataIndex] ?? `${item.dataset.label}: ${named(data.y_unit, item.parsed.y)}`,
              },
            },
          },
        },
      });
      drawn.push(chart);
      legend(figure, chart);
    }
  };
  draw();
  document.addEventListener("mlgym-theme", draw);

  // Rows.

  const rows = () => [...document.querySelectorAll(".pairrow[data-row]")].map((r) => /** @type {HTMLElement} */ (r));

  /** Opens or closes a row. @param {HTMLElement} row */
  const toggle = async (row) => {
    const opened = row.querySelector(".opened");
    const link = row.querySelector("a.more");
    if (opened) {
      opened.remove();
      link?.setAttribute("aria-expanded", "false");
      return;
    }
    if (!row.dataset.more) return;
    const box = document.createElement("div");
    box.className = "opened";
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `${row.getAttribute("aria-label") ?? "row"}, whole`);
    box.textContent = "Loading…";
    row.append(box);
    link?.setAttribute("aria-expanded", "true");
    try {
      const answer = await fetch(row.dataset.more, { credentials: "same-origin" });
      if (answer.ok) mlgym.fill(box, await answer.text());
      else box.textContent = "These steps could not be read; follow the link to see why.";
    } catch {
      box.textContent = "The viewer does not answer.";
    }
  };
  for (const row of rows()) {
    if (row.dataset.more) row.querySelector("a.more")?.setAttribute("aria-expanded", "false");
  }
  document.addEventListener("click", (e) => {
    if (!(e.target instanceof Element) || e.ctrlKey || e.metaKey || e.shiftKey) return;
    const link = e.target.closest(".pairrow a.more");
    const row = /** @type {HTMLElement | null} */ (link?.closest(".pairrow") ?? null);
    if (!row?.dataset.more) return;
    e.preventDefault();
    toggle(row);
  });

  /** @type {HTMLElement | null} */
  let current = null;
  /** @param {HTMLElement} row */
  const go = (row) => {
    current?.removeAttribute("aria-current");
    current = row;
    const fold = /** @type {HTMLDetailsElement | null} */ (row.closest("details.fold"));
    if (fold) fold.open = true;
    row.setAttribute("aria-current", "true");
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  /** @param {number} by */
  const move = (by) => {
    // Rows in a closed fold are passed over.
    const all = rows().filter((r) => !r.closest("details.fold:not([open])"));
    if (all.length === 0) return;
    const now = current ? all.indexOf(current) : -1;
    go(all[now < 0 ? 0 : Math.min(all.length - 1, Math.max(0, now + by))]);
  };
  mlgym.keys([
    { key: "j", text: "next row", run: () => move(1) },
    { key: "k", text: "previous row", run: () => move(-1) },
    { key: "o", text: "open or close the row", run: () => current && toggle(current) },
    { key: "p", text: "where the runs part", run: () => /** @type {HTMLElement | null} */ (document.getElementById("part-link"))?.click() },
  ]);

  /** A row that the address names is shown, also where it is folded. */
  const shown = () => {
    const row = /^#row-\d+$/.test(location.hash) ? document.getElementById(location.hash.slice(1)) : null;
    if (row) go(row);
  };
  window.addEventListener("hashchange", shown);
  shown();
})();

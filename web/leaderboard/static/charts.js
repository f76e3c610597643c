// @ts-check
// Charts that answer the pointer and the keyboard, drawn with Chart.js, as the global
// mlgymCharts. What is drawn is described by web/leaderboard/chart.go; another page may
// use it so:
//
//   mlgymCharts.draw(element, {
//     kind: "lines", xLabel: "steps", yLabel: "score", xMin: 0, xMax: 50, yMin: 0, yMax: 1,
//     panels: [{series: [{name: "A", style: 0, x: [1, 7, 50], y: [0.1, 0.4, 0.4]}]}],
//   });
//
// Kinds: lines (step curves, with bands where low and high are given), bars (from left to
// right, stacked or grouped), columns (stacked), points (with intervals), scatter (with names
// and the front of those that nothing beats). Series are told apart by colour, by dashes and by
// the form of their points; parts of bars by colour and by pattern. draw returns an
// object whose destroy() takes the chart away; drawAll(node) draws every .chart[data-chart]
// below a node, once it is near the window. Colours follow the site's.
(() => {
  "use strict";
  if (!window.Chart) return;
  const Chart = window.Chart;

  /** @typedef {{name: string, style: number, x: any[], y: any[], bandX?: any[], low?: any[], high?: any[]}} Series */
  /** @typedef {{name: string, color: number, values: any[]}} Part */
  /** @typedef {{name: string, style: number, x: any, y: any, low: any, high: any}} Spot */
  /**
   * @typedef {{kind: string, title?: string, subtitle?: string, xLabel?: string, yLabel?: string, percent?: boolean,
   *   xMin?: number, xMax?: number, yMin?: number, yMax?: number, panels?: {title?: string, series: Series[]}[],
   *   rows?: string[], parts?: Part[], labels?: string[], grouped?: boolean, single?: boolean,
   *   spots?: Spot[], reference?: number, front?: number[], logX?: boolean}} Spec
   */

  const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4]];
  const FORMS = ["circle", "triangle", "rect", "rectRot", "crossRot", "star"];
  const LINES = 7; // of the palette; the eighth is for parts of bars

  /** @param {string} name */
  const color = (name) => window.mlgym.color(name) || "#888";

  /** The look of a series; a negative number is that of a baseline. @param {number} i */
  const style = (i) =>
    i < 0
      ? { color: color("--text-soft"), dash: [2, 2], form: "crossRot" }
      : { color: color(`--c${(i % LINES) + 1}`), dash: DASHES[i % DASHES.length], form: FORMS[i % FORMS.length] };

  /** @param {string} c @param {number} alpha */
  const faded = (c, alpha) => {
    const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(c);
    return hex ? `rgb(${parseInt(hex[1], 16)} ${parseInt(hex[2], 16)} ${parseInt(hex[3], 16)} / ${alpha})` : c;
  };

  /** A number of a data block; null and the infinities, which are texts, cannot be drawn. @param {any} v */
  const num = (v) => (typeof v === "number" ? v : NaN);

  /** @param {any} v @param {boolean} [percent] */
  const text = (v, percent) => {
    if (typeof v === "string") return v;
    if (typeof v !== "number" || Number.isNaN(v)) return "–";
    if (percent) return `${Math.round(1000 * v) / 10} %`;
    if (Number.isInteger(v)) return v.toLocaleString("en").replaceAll(",", "\u202f");
    const a = Math.abs(v);
    if (a >= 1e6 || a < 1e-3) return v.toPrecision(4);
    return String(Number(v.toFixed(a >= 100 ? 1 : a >= 10 ? 2 : 3)));
  };

  /** A name that leaves room for what it names. @param {string} s */
  const brief = (s) => (s.length > 28 ? `${s.slice(0, 27)}…` : s);

  /** The place of the last value that is at most x. @param {any[]} xs @param {number} x */
  const place = (xs, x) => {
    let low = 0;
    let high = xs.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (num(xs[mid]) <= x + 1e-9 * Math.max(1, Math.abs(x))) low = mid + 1;
      else high = mid;
    }
    return low - 1;
  };

  /** A pattern over a colour, the i-th of six; the first is plain. @param {string} c @param {number} i */
  const pattern = (c, i) => {
    const kind = i % 6;
    if (kind === 0) return c;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const g = tile.getContext("2d");
    if (!g) return c;
    g.fillStyle = c;
    g.fillRect(0, 0, 8, 8);
    g.strokeStyle = g.fillStyle = faded(color("--bg"), 0.6);
    g.lineWidth = 1.4;
    g.beginPath();
    if (kind === 1 || kind === 3) for (const d of [-8, 0, 8]) g.moveTo(d, 8), g.lineTo(d + 8, 0);
    if (kind === 2 || kind === 3) for (const d of [-8, 0, 8]) g.moveTo(d, 0), g.lineTo(d + 8, 8);
    if (kind === 4) g.moveTo(0, 4), g.lineTo(8, 4);
    g.stroke();
    if (kind === 5) g.fillRect(2, 2, 2.5, 2.5), g.fillRect(6, 6, 2.5, 2.5);
    return g.createPattern(tile, "repeat") || c;
  };

  /** @param {string} tag @param {string} [name] @param {string} [content] */
  const make = (tag, name, content) => {
    const e = document.createElement(tag);
    if (name) e.className = name;
    if (content !== undefined) e.textContent = content;
    return e;
  };

  /** Options that all charts share. @param {any} scales @param {any} [more] */
  const options = (scales, more) => {
    const soft = color("--text-soft");
    for (const s of Object.values(scales)) {
      s.grid = { color: color("--line"), lineWidth: 0.6, tickColor: "transparent", ...s.grid };
      s.border = { color: color("--line"), ...s.border };
      s.ticks = { color: soft, maxRotation: 0, autoSkipPadding: 12, ...s.ticks };
      s.title = { color: soft, display: !!(s.title && s.title.text), ...s.title };
    }
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12 },
      scales,
      layout: { padding: { right: 8 } },
      ...more,
      plugins: {
        ...(more && more.plugins),
        tooltip: {
          backgroundColor: color("--bg"),
          borderColor: color("--line"),
          borderWidth: 1,
          titleColor: color("--text"),
          bodyColor: color("--text"),
          cornerRadius: 4,
          boxPadding: 4,
          ...(more && more.plugins && more.plugins.tooltip),
        },
      },
    };
  };

  /** Lays names beside points so that few overlap. */
  const names = {
    id: "mlgymNames",
    /** @param {any} chart @param {any} _args @param {any} o */
    afterDatasetsDraw(chart, _args, o) {
      if (!o.of) return;
      const g = chart.ctx;
      const area = chart.chartArea;
      const points = chart.getDatasetMeta(0).data;
      /** @type {{x: number, y: number, w: number, h: number}[]} */
      const taken = points.map((/** @type {any} */ p) => ({ x: p.x - 5, y: p.y - 5, w: 10, h: 10 }));
      g.save();
      g.font = `11px ${getComputedStyle(document.body).fontFamily}`;
      g.fillStyle = color("--text");
      g.strokeStyle = color("--bg");
      g.lineWidth = 3;
      g.lineJoin = "round";
      g.textBaseline = "middle";
      points.forEach((/** @type {any} */ p, /** @type {number} */ i) => {
        if (Number.isNaN(p.x) || Number.isNaN(p.y)) return;
        const w = g.measureText(o.of[i]).width;
        const h = 13;
        let best = { x: 0, y: 0, w, h };
        let least = Infinity;
        for (const [dx, dy] of [[8, -h / 2], [-8 - w, -h / 2], [-w / 2, -8 - h], [-w / 2, 8], [8, 5], [8, -5 - h], [-8 - w, 5], [-8 - w, -5 - h]]) {
          const box = { x: p.x + dx, y: p.y + dy, w, h };
          let cost = Math.max(0, area.left - box.x) + Math.max(0, box.x + w - area.right) + Math.max(0, area.top - box.y) + Math.max(0, box.y + h - area.bottom);
          cost *= 20;
          for (const t of taken)
            cost += Math.max(0, Math.min(box.x + w, t.x + t.w) - Math.max(box.x, t.x)) * Math.max(0, Math.min(box.y + h, t.y + t.h) - Math.max(box.y, t.y));
          if (cost < least - 1e-6) [best, least] = [box, cost];
        }
        taken.push(best);
        g.strokeText(o.of[i], best.x, best.y + h / 2);
        g.fillText(o.of[i], best.x, best.y + h / 2);
      });
      g.restore();
    },
  };

  /** Intervals of points, and a value to compare them with. */
  const whiskers = {
    id: "mlgymWhiskers",
    /** @param {any} chart @param {any} _args @param {any} o */
    beforeDatasetsDraw(chart, _args, o) {
      if (!o.spots) return;
      const g = chart.ctx;
      const { x, y } = chart.scales;
      const area = chart.chartArea;
      g.save();
      if (typeof o.reference === "number") {
        g.strokeStyle = color("--text-soft");
        g.setLineDash([4, 3]);
        g.beginPath();
        g.moveTo(x.getPixelForValue(o.reference), area.top);
        g.lineTo(x.getPixelForValue(o.reference), area.bottom);
        g.stroke();
        g.setLineDash([]);
      }
      g.lineWidth = 4;
      o.spots.forEach((/** @type {Spot} */ s, /** @type {number} */ i) => {
        if (Number.isNaN(num(s.low)) || Number.isNaN(num(s.high))) return;
        g.strokeStyle = faded(style(s.style).color, 0.45);
        g.beginPath();
        g.moveTo(x.getPixelForValue(s.low), y.getPixelForValue(i));
        g.lineTo(x.getPixelForValue(s.high), y.getPixelForValue(i));
        g.stroke();
      });
      g.restore();
    },
  };

  /** Texts at the ends of bars. */
  const ends = {
    id: "mlgymEnds",
    /** @param {any} chart @param {any} _args @param {any} o */
    afterDatasetsDraw(chart, _args, o) {
      if (!o.of) return;
      const g = chart.ctx;
      g.save();
      g.font = `11px ${getComputedStyle(document.body).fontFamily}`;
      g.fillStyle = color("--text-soft");
      g.textBaseline = "middle";
      chart.getDatasetMeta(0).data.forEach((/** @type {any} */ bar, /** @type {number} */ i) => g.fillText(o.of[i] || "", bar.x + 5, bar.y));
      g.restore();
    },
  };

  /** Bands around curves, and a line at the place that is read off. */
  const bands = {
    id: "mlgymBands",
    /** @param {any} chart @param {any} _args @param {any} o */
    beforeDatasetsDraw(chart, _args, o) {
      if (!o.state) return;
      const g = chart.ctx;
      const { x, y } = chart.scales;
      const area = chart.chartArea;
      g.save();
      g.beginPath();
      g.rect(area.left, area.top, area.right - area.left, area.bottom - area.top);
      g.clip();
      for (const s of /** @type {Series[]} */ (o.series)) {
        if (!s.low || !s.high || !o.state.banded(s.name)) continue;
        const xs = s.bandX || s.x;
        g.beginPath();
        /** @param {any[]} ys @param {boolean} back */
        const edge = (ys, back) => {
          /** @type {[number, number][]} */
          const path = [];
          let last = NaN;
          xs.forEach((at, i) => {
            const v = num(ys[i]);
            if (Number.isNaN(v)) return;
            const px = x.getPixelForValue(num(at));
            if (!Number.isNaN(last)) path.push([px, last]);
            last = y.getPixelForValue(v);
            path.push([px, last]);
          });
          if (back) path.reverse();
          for (const [px, py] of path) g.lineTo(px, py);
        };
        edge(s.high, false);
        edge(s.low, true);
        g.closePath();
        g.fillStyle = faded(style(s.style).color, 0.16);
        g.fill();
      }
      g.restore();
    },
    /** @param {any} chart @param {any} _args @param {any} o */
    afterDatasetsDraw(chart, _args, o) {
      if (!o.state || o.state.x === null) return;
      const g = chart.ctx;
      const px = chart.scales.x.getPixelForValue(o.state.x);
      g.save();
      g.strokeStyle = color("--text-soft");
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(px, chart.chartArea.top);
      g.lineTo(px, chart.chartArea.bottom);
      g.stroke();
      g.restore();
    },
  };

  /**
   * A small drawing of what a series or a part looks like.
   * @param {{dash?: number[], form?: string, fill?: any, color: string}} look
   */
  const sample = (look) => {
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas"));
    const scale = window.devicePixelRatio || 1;
    const [w, h] = look.fill ? [12, 12] : [26, 12];
    canvas.width = w * scale;
    canvas.height = h * scale;
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
    canvas.setAttribute("aria-hidden", "true");
    const g = canvas.getContext("2d");
    if (!g) return canvas;
    g.scale(scale, scale);
    if (look.fill) {
      g.fillStyle = look.fill;
      g.fillRect(0, 0, w, h);
      return canvas;
    }
    g.strokeStyle = g.fillStyle = look.color;
    g.lineWidth = 2;
    g.setLineDash(look.dash || []);
    g.beginPath();
    g.moveTo(0, 6);
    g.lineTo(26, 6);
    g.stroke();
    g.setLineDash([]);
    g.lineWidth = 1.5;
    g.beginPath();
    const [cx, cy, r] = [13, 6, 4];
    switch (look.form) {
      case "triangle":
        g.moveTo(cx, cy - r), g.lineTo(cx + r, cy + r), g.lineTo(cx - r, cy + r);
        g.fill();
        break;
      case "rect":
        g.fillRect(cx - 3, cy - 3, 6, 6);
        break;
      case "rectRot":
        g.moveTo(cx, cy - r), g.lineTo(cx + r, cy), g.lineTo(cx, cy + r), g.lineTo(cx - r, cy);
        g.fill();
        break;
      case "crossRot":
      case "star":
        g.moveTo(cx - r, cy - r), g.lineTo(cx + r, cy + r), g.moveTo(cx + r, cy - r), g.lineTo(cx - r, cy + r);
        if (look.form === "star") g.moveTo(cx, cy - r), g.lineTo(cx, cy + r);
        g.stroke();
        break;
      default:
        g.arc(cx, cy, 3.5, 0, 7);
        g.fill();
    }
    return canvas;
  };

  /**
   * A legend of buttons that show and hide.
   * @param {{name: string, look: any}[]} entries @param {Set<string>} hidden
   * @param {() => void} changed @param {(name: string | null) => void} lit
   */
  const legend = (entries, hidden, changed, lit) => {
    const list = make("ul", "legend");
    /** @type {Map<string, HTMLElement>} */
    const values = new Map();
    /** @type {Map<string, HTMLElement>} */
    const buttons = new Map();
    const press = () => {
      for (const [name, b] of buttons) b.setAttribute("aria-pressed", String(!hidden.has(name)));
      changed();
    };
    for (const { name, look } of entries) {
      const b = make("button");
      b.setAttribute("type", "button");
      const value = make("span", "value");
      b.append(sample(look), make("span", "name", name), value);
      b.title = name;
      b.setAttribute("aria-pressed", String(!hidden.has(name)));
      b.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        press();
      });
      b.addEventListener("dblclick", () => {
        hidden.clear();
        for (const e of entries) if (e.name !== name) hidden.add(e.name);
        press();
      });
      for (const on of ["mouseenter", "focus"]) b.addEventListener(on, () => lit(name));
      for (const off of ["mouseleave", "blur"]) b.addEventListener(off, () => lit(null));
      values.set(name, value);
      buttons.set(name, b);
      const item = make("li");
      item.append(b);
      list.append(item);
    }
    if (entries.length > 4) {
      const b = make("button", "only", "all / none");
      b.setAttribute("type", "button");
      b.addEventListener("click", () => {
        const none = hidden.size === 0;
        hidden.clear();
        if (none) for (const e of entries) hidden.add(e.name);
        press();
      });
      const item = make("li");
      item.append(b);
      list.append(item);
    }
    return { list, values };
  };

  /**
   * A canvas in a box that can be reached by keyboard.
   * @param {HTMLElement} parent @param {number} height @param {string} label
   */
  const box = (parent, height, label) => {
    const div = make("div", "canvas");
    div.style.height = `${height}px`;
    div.tabIndex = 0;
    div.setAttribute("role", "img");
    div.setAttribute("aria-label", `${label}. Arrow keys read the values; they stand in the table below, too.`);
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas"));
    div.append(canvas);
    parent.append(div);
    return { div, canvas };
  };

  /** @param {KeyboardEvent} e */
  const arrow = (e) => (["ArrowRight", "ArrowDown"].includes(e.key) ? 1 : ["ArrowLeft", "ArrowUp"].includes(e.key) ? -1 : 0);

  /**
   * @param {HTMLElement} root @param {Spec} spec @param {Set<string>} hidden
   * @returns {any[]} the charts
   */
  const lines = (root, spec, hidden) => {
    const panels = spec.panels || [];
    const [xMin, xMax] = [num(spec.xMin ?? 0), num(spec.xMax ?? 1)];
    /** @type {any[]} */
    const charts = [];
    /** @type {string | null} */
    let bright = null;
    const holder = make("div", "panels");
    const readout = make("p", "readout", "\u00a0");
    /** @type {Map<string, Series>} */
    const all = new Map();
    for (const p of panels) for (const s of p.series) all.set(s.name, s);
    const visible = () => [...all.keys()].filter((n) => !hidden.has(n)).length;
    const paint = () => {
      for (const c of charts) {
        for (const d of c.data.datasets) {
          const look = style(d.mlgymStyle);
          const dim = bright !== null && bright !== d.label;
          d.hidden = hidden.has(d.label);
          d.borderColor = d.pointBackgroundColor = d.pointBorderColor = dim ? faded(look.color, 0.2) : look.color;
          d.borderWidth = bright === d.label ? 3 : 1.8;
        }
        c.update(); // without a mode, or points keep their look
      }
    };
    const banded = [...all.values()].some((s) => s.low);
    const { list, values } = legend(
      [...all.values()].map((s) => ({ name: s.name, look: style(s.style) })),
      hidden,
      paint,
      (name) => {
        bright = name;
        paint();
      },
    );
    list.classList.add(banded ? "banded" : "valued");
    root.append(holder, readout, list);
    panels.forEach((p) => {
      const part = make("div");
      if (p.title) part.append(make("p", "panel", p.title));
      holder.append(part);
      const { div, canvas } = box(part, panels.length > 1 ? 260 : 320, [spec.title, p.title].filter(Boolean).join(", "));
      const state = {
        /** @type {number | null} */
        x: null,
        /** @param {string} name */
        banded: (name) => !hidden.has(name) && (bright ? bright === name : visible() <= 3),
      };
      const chart = new Chart(canvas, {
        type: "line",
        data: {
          datasets: p.series.map((s) => {
            const look = style(s.style);
            const few = s.x.length <= 24;
            return {
              label: s.name,
              mlgymStyle: s.style,
              data: s.x.map((x, i) => ({ x: num(x), y: num(s.y[i]) })),
              hidden: hidden.has(s.name),
              stepped: "before",
              borderColor: look.color,
              borderDash: look.dash,
              borderWidth: 1.8,
              pointStyle: look.form,
              pointRadius: few ? 3 : 0,
              pointHoverRadius: few ? 3 : 0,
              pointBackgroundColor: look.color,
              pointBorderColor: look.color,
            };
          }),
        },
        options: options(
          {
            x: { type: "linear", min: xMin, max: xMax, title: { text: spec.xLabel } },
            y: {
              type: "linear",
              min: spec.yMin === undefined ? undefined : num(spec.yMin),
              max: spec.yMax === undefined ? undefined : num(spec.yMax),
              title: { text: spec.yLabel },
              ticks: {
                stepSize: spec.percent ? 0.2 : undefined,
                includeBounds: false,
                callback: (/** @type {number} */ v) => (spec.percent ? `${Math.round(v * 100)} %` : text(v)),
              },
            },
          },
          { events: [], plugins: { tooltip: { enabled: false }, mlgymBands: { state, series: p.series } } },
        ),
        plugins: [bands],
      });
      charts.push(chart);
      /** @param {number | null} x */
      const read = (x) => {
        if (!chart.canvas) return; // it was taken away
        state.x = x;
        for (const s of p.series) {
          const at = x === null ? -1 : place(s.x, x);
          let shown = at < 0 ? "" : text(s.y[at], spec.percent);
          if (at >= 0 && x !== null && s.low && s.high && s.bandX) {
            const b = place(s.bandX, x);
            if (b >= 0) shown += ` (${text(s.low[b], spec.percent)} – ${text(s.high[b], spec.percent)})`;
          }
          const value = values.get(s.name);
          if (value) value.textContent = shown;
        }
        readout.textContent = x === null ? "\u00a0" : `${p.title ? `${p.title}, ` : ""}${spec.xLabel || "x"}: ${text(x)}`;
        chart.draw();
      };
      div.addEventListener("pointermove", (e) => {
        const area = chart.chartArea;
        const px = e.clientX - canvas.getBoundingClientRect().left;
        if (px < area.left || px > area.right) return;
        read(Math.min(xMax, Math.max(xMin, chart.scales.x.getValueForPixel(px))));
      });
      div.addEventListener("pointerleave", () => read(null));
      div.addEventListener("blur", () => read(null));
      div.addEventListener("keydown", (e) => {
        const way = arrow(e);
        if (!way) return;
        e.preventDefault();
        const now = state.x === null ? (way > 0 ? xMin : xMax) : state.x + (way * (xMax - xMin)) / 50;
        read(Math.min(xMax, Math.max(xMin, now)));
      });
    });
    paint();
    return charts;
  };

  /**
   * Reads a chart of rows by keyboard and pointer into a line of text.
   * @param {HTMLElement} div @param {HTMLElement} out @param {any} chart @param {number} n
   * @param {(i: number) => string} words @param {(i: number) => {datasetIndex: number, index: number}[]} active
   */
  const byRow = (div, out, chart, n, words, active) => {
    let at = -1;
    /** @param {number} i */
    const go = (i) => {
      if (!chart.canvas) return; // it was taken away
      at = i;
      out.textContent = i < 0 ? "\u00a0" : words(i);
    };
    chart.options.onHover = (/** @type {any} */ _e, /** @type {any[]} */ found) => {
      const i = found.length ? found[0].index : -1;
      if (i !== at) go(i);
    };
    div.addEventListener("pointerleave", () => go(-1));
    div.addEventListener("keydown", (e) => {
      const way = arrow(e);
      if (!way || n === 0) return;
      e.preventDefault();
      go(at < 0 ? (way > 0 ? 0 : n - 1) : (at + way + n) % n);
      const elements = active(at);
      chart.setActiveElements(elements);
      const first = elements.length ? chart.getDatasetMeta(elements[0].datasetIndex).data[elements[0].index] : null;
      chart.tooltip.setActiveElements(elements, first ? { x: first.x, y: first.y } : { x: 0, y: 0 });
      chart.update("none");
    });
    div.addEventListener("blur", () => {
      if (!chart.canvas) return;
      go(-1);
      chart.setActiveElements([]);
      chart.tooltip.setActiveElements([], { x: 0, y: 0 });
      chart.update("none");
    });
  };

  /** @param {HTMLElement} root @param {Spec} spec @param {Set<string>} hidden */
  const bars = (root, spec, hidden) => {
    const rows = spec.rows || [];
    const parts = spec.parts || [];
    const flat = spec.kind === "bars";
    const height = flat ? rows.length * (spec.grouped ? 13 * parts.length + 10 : 24) + 56 : 280;
    const { div, canvas } = box(root, height, spec.title || "");
    const looks = parts.map((p, i) => {
      const c = color(`--c${((p.color - 1) % 8) + 1}`);
      return { color: c, fill: spec.single ? c : pattern(c, p.color > 0 ? p.color - 1 : i) };
    });
    const count = flat ? "x" : "y";
    const named = flat ? "y" : "x";
    const chart = new Chart(canvas, {
      type: "bar",
      data: {
        labels: rows,
        datasets: parts.map((p, i) => ({
          label: p.name,
          data: p.values.map(num),
          hidden: hidden.has(p.name),
          backgroundColor: looks[i].fill,
          borderColor: color("--bg"),
          borderWidth: spec.grouped || spec.single || !flat ? 0 : { left: 0, right: 1, top: 0, bottom: 0 },
          borderSkipped: false,
          categoryPercentage: 0.9,
          barPercentage: flat ? 0.85 : 0.98,
          ...(spec.grouped ? {} : { stack: "all" }),
        })),
      },
      options: options(
        {
          [count]: { type: "linear", beginAtZero: true, stacked: !spec.grouped, title: { text: flat ? spec.xLabel : spec.yLabel }, ticks: { precision: 0 } },
          [named]: {
            type: "category",
            stacked: !spec.grouped,
            title: { text: flat ? "" : spec.xLabel },
            grid: { display: false },
            ticks: flat ? { color: color("--text"), autoSkip: false, callback: (/** @type {number} */ v) => brief(rows[v] || "") } : {},
          },
        },
        {
          indexAxis: named,
          interaction: { mode: "index", axis: named, intersect: false },
          layout: { padding: { right: spec.labels ? 96 : 8 } },
          plugins: {
            mlgymEnds: { of: spec.labels },
            tooltip: {
              filter: (/** @type {any} */ item) => item.raw !== 0,
              callbacks: {
                title: (/** @type {any[]} */ items) => (items.length ? brief(items[0].label) : ""), label: (/** @type {any} */ item) => `${brief(item.dataset.label)}: ${text(item.raw)}` },
            },
          },
        },
      ),
      plugins: [ends],
    });
    const readout = make("p", "readout", "\u00a0");
    readout.setAttribute("aria-live", "polite");
    root.append(readout);
    const shown = () => parts.map((p, i) => ({ p, i })).filter(({ p }) => !hidden.has(p.name));
    byRow(
      div,
      readout,
      chart,
      rows.length,
      (i) =>
        `${flat ? "" : `${spec.xLabel} `}${rows[i]}: ` +
        (spec.labels && spec.labels[i]
          ? spec.labels[i]
          : shown()
              .filter(({ p }) => num(p.values[i]) !== 0 && p.values[i] !== undefined)
              .map(({ p }) => `${p.name} ${text(p.values[i])}`)
              .join(", ") || "nothing"),
      (i) => shown().map((s) => ({ datasetIndex: s.i, index: i })),
    );
    if (!spec.single && parts.length > 1)
      root.append(
        legend(
          parts.map((p, i) => ({ name: p.name, look: looks[i] })),
          hidden,
          () => {
            parts.forEach((p, i) => chart.setDatasetVisibility(i, !hidden.has(p.name)));
            chart.update("none");
          },
          () => {},
        ).list,
      );
    return [chart];
  };

  /** @param {HTMLElement} root @param {Spec} spec */
  const points = (root, spec) => {
    const spots = spec.spots || [];
    const { div, canvas } = box(root, spots.length * 24 + 60, spec.title || "");
    const words = (/** @type {Spot} */ s) => `${text(s.x)}${Number.isNaN(num(s.low)) ? "" : ` (${text(s.low)} – ${text(s.high)})`}`;
    const ends = spots.flatMap((s) => [num(s.x), num(s.low), num(s.high)]).concat(num(spec.reference)).filter((v) => !Number.isNaN(v));
    const [low, high] = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
    const pad = Math.max((high - low) * 0.06, 1e-6);
    const looks = spots.map((s) => style(s.style));
    const chart = new Chart(canvas, {
      type: "scatter",
      data: {
        datasets: [
          {
            data: spots.map((s, i) => ({ x: num(s.x), y: i })),
            pointStyle: looks.map((l) => l.form),
            pointRadius: 5,
            pointHoverRadius: 7,
            pointBackgroundColor: looks.map((l) => l.color),
            pointBorderColor: looks.map((l) => l.color),
            pointBorderWidth: 2,
          },
        ],
      },
      options: options(
        {
          x: { type: "linear", min: low - pad, max: high + pad, title: { text: spec.xLabel }, ticks: { callback: (/** @type {number} */ v) => text(v), includeBounds: false } },
          y: {
            type: "linear",
            reverse: true,
            min: -0.6,
            max: Math.max(spots.length, 1) - 0.4,
            grid: { display: false },
            afterBuildTicks: (/** @type {any} */ axis) => {
              axis.ticks = spots.map((_, value) => ({ value }));
            },
            ticks: { autoSkip: false, color: color("--text"), callback: (/** @type {number} */ v) => (spots[v] ? brief(spots[v].name) : "") },
          },
        },
        {
          interaction: { mode: "nearest", axis: "y", intersect: false },
          plugins: {
            mlgymWhiskers: { spots, reference: spec.reference },
            tooltip: { displayColors: false, callbacks: { label: (/** @type {any} */ item) => [brief(spots[item.dataIndex].name), words(spots[item.dataIndex])] } },
          },
        },
      ),
      plugins: [whiskers],
    });
    const readout = make("p", "readout", "\u00a0");
    readout.setAttribute("aria-live", "polite");
    root.append(readout);
    byRow(
      div,
      readout,
      chart,
      spots.length,
      (i) => `${spots[i].name}: ${words(spots[i])}`,
      (i) => [{ datasetIndex: 0, index: i }],
    );
    return [chart];
  };

  /** @param {HTMLElement} root @param {Spec} spec */
  const scatter = (root, spec) => {
    const spots = spec.spots || [];
    const { div, canvas } = box(root, 360, spec.title || "");
    const looks = spots.map((s) => style(s.style));
    const words = (/** @type {Spot} */ s) => `${text(s.y)} ${spec.yLabel || ""}, ${text(s.x)} ${spec.xLabel || ""}`;
    const xs = spots.map((s) => num(s.x)).filter((v) => !Number.isNaN(v));
    const ys = spots.flatMap((s) => [num(s.y), num(s.low), num(s.high)]).filter((v) => !Number.isNaN(v));
    const [x0, x1] = xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1];
    const [y0, y1] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1];
    const [xPad, yPad] = [Math.max((x1 - x0) * 0.15, Math.abs(x1) * 0.05 + 1e-9), Math.max((y1 - y0) * 0.12, 0.01)];
    const chart = new Chart(canvas, {
      type: "scatter",
      data: {
        datasets: [
          {
            data: spots.map((s) => ({ x: num(s.x), y: num(s.y) })),
            pointStyle: looks.map((l) => l.form),
            pointRadius: 5,
            pointHoverRadius: 7,
            pointBackgroundColor: looks.map((l) => l.color),
            pointBorderColor: looks.map((l) => l.color),
            pointBorderWidth: 2,
          },
          {
            type: "line",
            data: (spec.front || []).map((i) => ({ x: num(spots[i].x), y: num(spots[i].y) })),
            stepped: "before",
            borderColor: color("--text-soft"),
            borderDash: [5, 4],
            borderWidth: 1.2,
            pointRadius: 0,
            pointHitRadius: 0,
            pointHoverRadius: 0,
          },
        ],
      },
      options: options(
        {
          x: spec.logX
            ? { type: "logarithmic", min: x0 / 1.6, max: x1 * 2, title: { text: spec.xLabel }, ticks: { autoSkip: false, callback: (/** @type {number} */ v) => (/^[125]/.test(v.toExponential()) && /^.e|^.\.?0*e/.test(v.toExponential()) ? text(v) : "") } }
            : { type: "linear", min: Math.min(x0, Math.max(0, x0 - xPad)), max: x1 + xPad, title: { text: spec.xLabel }, ticks: { includeBounds: false } },
          y: { type: "linear", min: y0 - yPad, max: y1 + yPad, title: { text: spec.yLabel }, ticks: { callback: (/** @type {number} */ v) => text(v), includeBounds: false } },
        },
        {
          interaction: { mode: "nearest", intersect: false },
          plugins: {
            mlgymNames: { of: spots.map((s) => brief(s.name)) },
            tooltip: {
              displayColors: false,
              filter: (/** @type {any} */ item) => item.datasetIndex === 0,
              callbacks: { label: (/** @type {any} */ item) => [brief(spots[item.dataIndex].name), words(spots[item.dataIndex])] },
            },
          },
        },
      ),
      plugins: [names],
    });
    const readout = make("p", "readout", "\u00a0");
    readout.setAttribute("aria-live", "polite");
    root.append(readout);
    if ((spec.front || []).length > 1) root.append(make("p", "soft small", "Dashed: what no other beats in both price and performance."));
    byRow(
      div,
      readout,
      chart,
      spots.length,
      (i) => (spots[i] ? `${spots[i].name}: ${words(spots[i])}` : ""),
      (i) => [{ datasetIndex: 0, index: i }],
    );
    return [chart];
  };

  /** @type {Set<{draw: () => void}>} */
  const drawn = new Set();
  document.addEventListener("mlgym-theme", () => {
    for (const d of drawn) d.draw();
  });

  /** @param {HTMLElement} element is emptied @param {Spec} spec */
  const draw = (element, spec) => {
    /** @type {any[]} */
    let charts = [];
    /** @type {Set<string>} */
    const hidden = new Set();
    const handle = {
      draw() {
        for (const c of charts) c.destroy();
        element.replaceChildren();
        const kinds = /** @type {Record<string, (root: HTMLElement, spec: Spec, hidden: Set<string>) => any[]>} */ ({ lines, bars, columns: bars, points, scatter });
        const kind = Object.hasOwn(kinds, spec.kind) ? kinds[spec.kind] : null;
        charts = kind ? kind(element, spec, hidden) : [];
      },
      destroy() {
        for (const c of charts) c.destroy();
        charts = [];
        element.replaceChildren();
        drawn.delete(handle);
      },
    };
    drawn.add(handle);
    handle.draw();
    return handle;
  };

  /** @param {ParentNode} node */
  const drawAll = (node) => {
    const near = new IntersectionObserver(
      (seen) => {
        for (const s of seen) {
          if (!s.isIntersecting) continue;
          near.unobserve(s.target);
          const figure = /** @type {HTMLElement} */ (s.target);
          const place = /** @type {HTMLElement | null} */ (figure.querySelector(".drawing"));
          try {
            if (place) draw(place, window.mlgym.data(figure.dataset.chart || ""));
          } catch (err) {
            figure.classList.remove("live"); // the picture is there
            console.error(err);
          }
        }
      },
      { rootMargin: "300px" },
    );
    for (const figure of node.querySelectorAll(".chart.live[data-chart]")) near.observe(figure);
  };

  window.mlgymCharts = { draw, drawAll, style };
})();

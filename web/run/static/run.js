// @ts-check
// The page of a run: brings steps as the reader comes near them and lets go of those far
// away, follows a run that goes on, moves by keys, searches, and unfolds texts. All
// HTML it puts into the page was made by our server's templates.
(() => {
  "use strict";

  /** @type {{keys(more: {key: string, text: string, run: (e: KeyboardEvent) => void}[]): void, data(id: string): any, fill(e: Element, html: string): void, times(n: ParentNode): void}} */
  // @ts-ignore
  const mlgym = window.mlgym;
  const root = document.getElementById("run");
  const list = document.getElementById("steps");
  const bar = document.getElementById("bar");
  if (!root || !list || !bar) return;

  /** @type {{total: number, from: number, to: number, pending: boolean, live: boolean, static: boolean, paged: boolean, perPage: number, scores: {step: number, kind: string}[]}} */
  const data = mlgym.data("run-data");
  const base = (root.dataset.base || "").replace(/index\.html$/, "");
  const CHUNK = 10; // steps that are brought at once
  const MOUNTED = 400; // steps that are kept in the page
  const NEAR = 1500; // pixels around the window within which steps are brought

  /** @param {string} id */
  const byId = (id) => document.getElementById(id);
  /** @param {string} text */
  const say = (text) => {
    const said = byId("said");
    if (said) said.textContent = text;
  };

  // ---- chunks: runs of steps that are in the page together, or a space of their height.

  /** @typedef {{from: number, to: number, el: HTMLElement, state: "empty" | "loading" | "full" | "failed", near: boolean, abort: AbortController | null, wait: Promise<void> | null, height: number}} Chunk */

  /** @type {Chunk[]} */
  const chunks = [];
  /** Steps whose body the reader folded. @type {Set<number>} */
  const folded = new Set();
  let estimate = 220;

  /** @param {HTMLElement} el @param {number} from @param {number} to @param {Chunk["state"]} state @returns {Chunk} */
  const newChunk = (el, from, to, state) => ({ from, to, el, state, near: false, abort: null, wait: null, height: 0 });

  /** @param {Chunk} c */
  const isFull = (c) => c.state === "full";

  const first = /** @type {HTMLElement | null} */ (list.querySelector(".chunk"));
  if (first) chunks.push(newChunk(first, data.from, Math.max(data.to, data.from), "full"));

  const measure = () => {
    const c = chunks[0];
    const n = c ? c.el.querySelectorAll(".step").length : 0;
    if (c && c.state === "full" && n > 0) estimate = Math.max(60, c.el.offsetHeight / n);
  };

  const observer = new IntersectionObserver(
    (entries) => {
      for (const e of entries) {
        const c = chunkOf(Number(/** @type {HTMLElement} */ (e.target).dataset.from));
        if (!c) continue;
        c.near = e.isIntersecting;
        if (!c.near && c.abort) c.abort.abort();
        // A reader who drags the bar passes by many: only where they stay is brought.
        if (c.near && c.state !== "full") setTimeout(() => { if (c.near && c.state !== "full") void load(c); }, 60);
      }
    },
    { rootMargin: `${NEAR}px 0px` },
  );

  /** Adds the chunks of steps up to the total. */
  const extend = () => {
    if (data.paged) return;
    for (;;) {
      const last = chunks[chunks.length - 1];
      const next = last ? last.to + 1 : data.from;
      if (next > data.total) return;
      if (last && last.state === "empty" && last.to - last.from + 1 < CHUNK) {
        last.to = Math.min(data.total, last.from + CHUNK - 1);
        last.el.dataset.to = String(last.to);
        last.el.style.height = `${estimate * (last.to - last.from + 1)}px`;
        continue;
      }
      const el = document.createElement("div");
      const to = Math.min(data.total, next + CHUNK - 1);
      el.className = "chunk empty";
      el.dataset.from = String(next);
      el.dataset.to = String(to);
      el.style.height = `${estimate * (to - next + 1)}px`;
      list.append(el);
      const c = newChunk(el, next, to, "empty");
      chunks.push(c);
      observer.observe(el);
    }
  };

  /** @param {number} step */
  const chunkOf = (step) => {
    let low = 0;
    let high = chunks.length - 1;
    while (low <= high) {
      const mid = (low + high) >> 1;
      const c = chunks[mid];
      if (step < c.from) high = mid - 1;
      else if (step > c.to) low = mid + 1;
      else return c;
    }
    return null;
  };

  /** Where reading happens: just below the bar. */
  const line = () => bar.getBoundingClientRect().bottom + 24;

  /** The step at the line, or the first one below it in the page. @returns {HTMLElement | null} */
  const atLine = () => {
    const y = line();
    for (const c of chunks) {
      if (c.state !== "full" || c.el.getBoundingClientRect().bottom < y) continue;
      for (const a of /** @type {NodeListOf<HTMLElement>} */ (c.el.querySelectorAll(".step"))) {
        if (a.getBoundingClientRect().bottom >= y) return a;
      }
    }
    return null;
  };

  /** Changes the page without moving what is read. @param {() => void} change */
  const keepPlace = (change) => {
    const anchor = window.scrollY > 0 && list.getBoundingClientRect().top < line() ? atLine() : null;
    const before = anchor ? anchor.getBoundingClientRect().top : 0;
    change();
    if (anchor && anchor.isConnected) {
      const moved = anchor.getBoundingClientRect().top - before;
      if (Math.abs(moved) >= 1) window.scrollBy({ top: moved, behavior: "instant" });
    }
  };

  /** Puts steps into a chunk. @param {Chunk} c @param {string} html */
  const mount = (c, html) => {
    const rect = c.el.getBoundingClientRect();
    const y = line();
    // Where the space under the line becomes steps, the place within it is kept.
    const share = rect.top < y && rect.bottom > y ? (y - rect.top) / rect.height : -1;
    const put = () => {
      mlgym.fill(c.el, html);
      c.el.classList.remove("empty");
      c.el.style.height = "";
      c.state = "full";
      dress(c.el);
    };
    if (share < 0) keepPlace(put);
    else {
      put();
      const now = c.el.getBoundingClientRect();
      window.scrollBy({ top: now.top + share * now.height - y, behavior: "instant" });
    }
  };

  /** What the reader chose for steps that come back. @param {ParentNode} node */
  const dress = (node) => {
    for (const a of /** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll(".step"))) {
      const n = Number(a.dataset.step);
      if (folded.has(n)) setFolded(a, true);
      if (n === current) a.setAttribute("aria-current", "step");
    }
    highlight();
  };

  /** Brings the steps of a chunk. @param {Chunk} c @returns {Promise<void>} */
  const load = (c) => {
    if (c.state === "full") return Promise.resolve();
    if (c.wait) return c.wait;
    c.abort = new AbortController();
    c.state = "loading";
    const to = c.to;
    list.setAttribute("aria-busy", "true");
    c.wait = fetch(`${base}fragment?from=${c.from}&n=${to - c.from + 1}`, { signal: c.abort.signal })
      .then((answer) => {
        if (!answer.ok) throw new Error(answer.statusText);
        return answer.text();
      })
      .then((html) => {
        mount(c, html);
        if (c.to > to) c.state = "empty"; // it has grown meanwhile
        tidy();
      })
      .catch((e) => {
        c.state = "empty";
        if (e.name === "AbortError") return;
        c.state = "failed";
        const p = document.createElement("p");
        p.className = "notice bad";
        p.textContent = `Steps ${c.from} to ${c.to} could not be brought: ${e.message}. `;
        const again = document.createElement("button");
        again.type = "button";
        again.textContent = "Try again";
        again.addEventListener("click", () => void load(c));
        p.append(again);
        c.el.replaceChildren(p);
      })
      .finally(() => {
        c.abort = null;
        c.wait = null;
        if (!chunks.some((x) => x.state === "loading")) list.removeAttribute("aria-busy");
        if (c.state === "empty" && c.near) void load(c);
      });
    return c.wait;
  };

  /** Lets go of the steps that are farthest away, where there are too many. */
  const tidy = () => {
    let count = 0;
    for (const c of chunks) if (c.state === "full") count += c.to - c.from + 1;
    if (count <= MOUNTED) return;
    const middle = window.innerHeight / 2;
    const far = chunks
      .filter((c) => c.state === "full" && !c.near && !c.el.contains(document.activeElement))
      .map((c) => {
        const r = c.el.getBoundingClientRect();
        return { c, height: r.height, distance: Math.abs((r.top + r.bottom) / 2 - middle) };
      })
      .sort((a, b) => b.distance - a.distance);
    for (const { c, height } of far) {
      if (count <= MOUNTED) break;
      c.el.style.height = `${height}px`;
      c.el.replaceChildren();
      c.el.classList.add("empty");
      c.state = "empty";
      count -= c.to - c.from + 1;
    }
  };

  // ---- the current step.

  let current = -1;
  let pinned = false;

  /** @param {number} n */
  const setCurrent = (n) => {
    if (n === current) return;
    for (const a of list.querySelectorAll(".step[aria-current]")) a.removeAttribute("aria-current");
    current = n;
    byId(`step-${n}`)?.setAttribute("aria-current", "step");
    showPlace();
    showNow();
    highlight();
  };
  const showPlace = () => {
    const place = byId("place");
    if (place) place.textContent = current < 0 ? `${data.total} step${data.total === 1 ? "" : "s"}` : current === 0 ? "task" : `step ${current} of ${data.total}`;
  };

  /** @param {number} n the page on which an export, or a page without this step, has it */
  const elsewhere = (n) => {
    const p = Math.floor(Math.max(0, n - 1) / data.perPage) * data.perPage + 1;
    const end = data.static ? "index.html" : "";
    return `${base}${p > 1 ? `steps/${p}/` : ""}${end}#step-${n}`;
  };

  let going = 0;
  let travelling = false;
  /** Shows a step. @param {number} n @param {{focus?: boolean, hash?: boolean}} [how] */
  const go = async (n, how = {}) => {
    n = Math.max(0, Math.min(n, data.total));
    const mine = ++going;
    travelling = false;
    const c = chunkOf(n);
    if (!c) {
      if (data.paged && (n < data.from || n > data.to)) location.href = elsewhere(n);
      return;
    }
    pinned = true;
    if (c.state !== "full") {
      travelling = true;
      c.el.scrollIntoView({ block: "start", behavior: "instant" });
      // A load that was under way may have been given up on the way here.
      for (let i = 0; i < 3 && !isFull(c) && mine === going; i++) {
        c.near = true;
        await load(c);
      }
      if (mine !== going) return; // the reader went on meanwhile
      travelling = false;
    }
    const a = byId(`step-${n}`);
    if (!a) return;
    pinned = true;
    setCurrent(n);
    bringUp(a);
    if (how.focus !== false) a.focus({ preventScroll: true });
    if (how.hash !== false) history.replaceState(history.state, "", `#step-${n}`);
  };

  /** @param {HTMLElement} a */
  const bringUp = (a) => {
    list.style.setProperty("--bar", `${bar.offsetHeight + 6}px`);
    a.scrollIntoView({ block: "start", behavior: "instant" });
  };

  let ticking = false;
  const onScroll = () => {
    if (ticking) return;
    ticking = true;
    requestAnimationFrame(() => {
      ticking = false;
      if (travelling) return;
      if (pinned && current >= 0) {
        const a = byId(`step-${current}`);
        const r = a && a.getBoundingClientRect();
        if (r && r.bottom > 0 && r.top < window.innerHeight) return;
      }
      pinned = false;
      const a = list.getBoundingClientRect().top > line() ? null : atLine();
      setCurrent(a ? Number(a.dataset.step) : -1);
    });
  };
  addEventListener("scroll", onScroll, { passive: true });
  for (const kind of ["wheel", "touchmove"]) addEventListener(kind, () => { pinned = false; follow(false); }, { passive: true });

  const fromHash = () => {
    const m = /^#step-(\d{1,9})$/.exec(location.hash);
    if (m) void go(Number(m[1]), { hash: false });
  };
  addEventListener("hashchange", fromHash);
  // A link to the step that is already in the address says nothing to hashchange.
  root.addEventListener("click", (e) => {
    const a = e.target instanceof Element ? e.target.closest("a") : null;
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
    const href = a.getAttribute("href") || "";
    const m = /#step-(\d{1,9})$/.exec(href);
    if (!m || (a instanceof HTMLAnchorElement && (a.pathname !== location.pathname || a.search !== location.search))) return;
    e.preventDefault();
    const n = Number(m[1]);
    if (a.dataset.hit !== undefined) hit = hits().findIndex((h) => h === a);
    follow(false);
    void go(n);
  });

  // ---- the timeline.

  /** @type {{share: {step: number[], x: number[]}, time: {step: number[], x: number[]}} | null} */
  let index = mlgym.data("timeline-data");
  const mode = () => {
    const time = /** @type {HTMLInputElement | null} */ (byId("by-time"));
    return time && time.checked ? "time" : "share";
  };
  /** The bar that holds a step. @param {number} n */
  const barOf = (n) => {
    const places = index && index[mode()];
    if (!places || places.step.length === 0 || n < 1) return null;
    let i = 0;
    while (i + 1 < places.step.length && places.step[i + 1] <= n) i++;
    const end = i + 1 < places.x.length ? places.x[i + 1] : 1000;
    return { x: places.x[i], width: end - places.x[i] };
  };
  const showNow = () => {
    const b = barOf(current);
    for (const now of bar.querySelectorAll(`.bars.by-${mode()} .now`)) {
      now.setAttribute("x", String(b ? b.x : 0));
      now.setAttribute("width", String(b ? Math.max(b.width, 1.5) : 0));
    }
  };
  for (const id of ["by-share", "by-time"]) byId(id)?.addEventListener("change", showNow);

  /** @param {MouseEvent} e @returns {{from: number, to: number} | null} */
  const under = (e) => {
    const places = index && index[mode()];
    const svg = bar.querySelector("svg.lines");
    if (!places || !svg || places.step.length === 0) return null;
    const r = svg.getBoundingClientRect();
    const x = ((e.clientX - r.left) / r.width) * 1000;
    let i = 0;
    while (i + 1 < places.x.length && places.x[i + 1] <= x) i++;
    const next = i + 1 < places.step.length ? places.step[i + 1] : data.total + 1;
    const end = i + 1 < places.x.length ? places.x[i + 1] : 1000;
    const within = Math.max(0, Math.min(0.999, (x - places.x[i]) / Math.max(end - places.x[i], 0.001)));
    const from = places.step[i];
    const step = from + Math.floor(within * (next - from));
    return { from: step, to: next - 1 };
  };
  bar.addEventListener("click", (e) => {
    if (!(e.target instanceof Element) || e.defaultPrevented || e.target.closest("a") || !e.target.closest("svg.lines")) return;
    const at = under(e);
    if (!at) return;
    follow(false);
    void go(at.from);
  });
  bar.addEventListener("pointermove", (e) => {
    if (!(e.target instanceof Element) || !e.target.closest("svg.lines") || e.target.closest("a")) return;
    const at = under(e);
    const svg = bar.querySelector("svg.lines");
    if (at && svg) {
      let title = svg.querySelector(":scope > title");
      if (!title) {
        title = document.createElementNS("http://www.w3.org/2000/svg", "title");
        svg.prepend(title);
      }
      title.textContent = `step ${at.from}`;
    }
  });

  // ---- texts that are folded.

  /** @param {HTMLElement} a @param {boolean} on */
  const setFolded = (a, on) => {
    a.classList.toggle("folded", on);
    a.querySelector(".fold")?.setAttribute("aria-expanded", String(!on));
  };
  /** @param {HTMLElement} a */
  const toggleFold = (a) => {
    const on = !a.classList.contains("folded");
    const n = Number(a.dataset.step);
    if (on) folded.add(n);
    else folded.delete(n);
    setFolded(a, on);
  };

  /** @param {HTMLElement} more @param {HTMLElement} a @param {HTMLButtonElement} button */
  const unfold = async (more, a, button) => {
    const box = /** @type {HTMLElement | null} */ (more.closest(".text"));
    if (!box) return;
    const part = box.dataset.part || "";
    button.disabled = true;
    try {
      const answer = await fetch(`${base}text?step=${a.dataset.step}&part=${part}&from=${more.dataset.from}&to=${more.dataset.to}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const html = await answer.text();
      if (part === "observation" && a.dataset.step !== "0") {
        const into = document.createElement("template");
        mlgym.fill(into.content.appendChild(document.createElement("div")), html);
        const filled = /** @type {HTMLElement} */ (into.content.firstElementChild);
        const next = /** @type {HTMLElement | null} */ (filled.querySelector(".more button"));
        const begin = filled.firstElementChild;
        more.replaceWith(...filled.childNodes);
        if (next) next.focus({ preventScroll: true });
        else if (begin instanceof HTMLElement) {
          begin.tabIndex = -1;
          begin.focus({ preventScroll: true });
        }
      } else {
        mlgym.fill(box, html);
        box.tabIndex = -1;
        box.focus({ preventScroll: true });
      }
      highlight();
    } catch (e) {
      button.disabled = false;
      button.textContent = `could not be brought (${e instanceof Error ? e.message : e}); try again`;
    }
  };

  list.addEventListener("click", (e) => {
    const button = e.target instanceof Element ? e.target.closest("button") : null;
    const a = /** @type {HTMLElement | null} */ (button && button.closest(".step"));
    if (!button || !a) return;
    const more = /** @type {HTMLElement | null} */ (button.closest(".more"));
    if (more) void unfold(more, a, button);
    else if (button.classList.contains("fold")) toggleFold(a);
  });

  const thoughts = byId("thoughts");
  /** @param {boolean} on */
  const showThoughts = (on) => {
    keepPlace(() => root.classList.toggle("no-thought", !on));
    thoughts?.setAttribute("aria-pressed", String(on));
    try {
      localStorage.setItem("mlgym-thoughts", on ? "on" : "off");
    } catch {
      // No storage: for this page only.
    }
  };
  thoughts?.addEventListener("click", () => showThoughts(root.classList.contains("no-thought")));
  try {
    if (localStorage.getItem("mlgym-thoughts") === "off") showThoughts(false);
  } catch {
    // No storage.
  }

  // ---- search inside.

  const form = /** @type {HTMLFormElement | null} */ (byId("find"));
  const input = /** @type {HTMLInputElement | null} */ (byId("find-text"));
  const found = byId("found");
  let asked = "";
  let hit = -1;
  let asking = 0;
  const hits = () => /** @type {HTMLElement[]} */ (found ? [...found.querySelectorAll("[data-hit]")] : []);

  /** Marks what is searched for in the steps of the page, without changing them. */
  const highlight = () => {
    // @ts-ignore
    if (!window.Highlight || !CSS.highlights) return;
    // @ts-ignore
    CSS.highlights.delete("found");
    if (!asked) return;
    const a = byId(`step-${current}`);
    if (!a) return;
    const wanted = asked.toLowerCase();
    const ranges = [];
    const walker = document.createTreeWalker(a, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && ranges.length < 500; node = walker.nextNode()) {
      const text = (node.textContent || "").toLowerCase();
      for (let at = text.indexOf(wanted); at >= 0 && ranges.length < 500; at = text.indexOf(wanted, at + wanted.length)) {
        if (at + wanted.length > (node.textContent || "").length) break;
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + wanted.length);
        ranges.push(range);
      }
    }
    // @ts-ignore
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  /** @param {number} by */
  const nextHit = (by) => {
    const all = hits();
    if (all.length === 0) return;
    hit = (hit + by + all.length) % all.length;
    for (const h of all) h.closest("li")?.classList.remove("here");
    all[hit].closest("li")?.classList.add("here");
    all[hit].scrollIntoView({ block: "nearest" });
    say(`${hit + 1} of ${all.length}`);
    follow(false);
    void go(Number(all[hit].dataset.hit), { focus: false });
  };

  const ask = async () => {
    if (!input || !found) return;
    const q = input.value.trim();
    asked = q;
    hit = -1;
    if (!q) {
      found.hidden = true;
      highlight();
      return;
    }
    const mine = ++asking;
    try {
      const answer = await fetch(`${base}find?part=1&q=${encodeURIComponent(q)}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const html = await answer.text();
      if (mine !== asking) return;
      keepPlace(() => {
        mlgym.fill(found, html);
        found.hidden = false;
      });
      // The first one at or after the step that is read.
      const all = hits();
      const at = all.findIndex((h) => Number(h.dataset.hit) >= current);
      hit = (at < 0 ? 0 : at) - 1;
      nextHit(1);
    } catch (e) {
      say(`The search failed: ${e instanceof Error ? e.message : e}`);
    }
  };
  form?.addEventListener("submit", (e) => {
    e.preventDefault();
    if (input && input.value.trim() === asked && hits().length > 0) nextHit(1);
    else void ask();
  });
  input?.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      input.value = "";
      void ask();
      input.blur();
    } else if (e.key === "Enter" && e.shiftKey) {
      e.preventDefault();
      nextHit(-1);
    }
  });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || !input || !found || found.hidden || e.target === input || document.querySelector("dialog[open]")) return;
    input.value = "";
    void ask();
  });
  input?.addEventListener("search", () => { if (!input.value) void ask(); });

  // ---- keys and buttons.

  const read = () => (current >= 0 ? current : Number(atLine()?.dataset.step ?? -1));
  /** @param {number} by */
  const move = (by) => {
    follow(false);
    void go(current < 0 ? Number(atLine()?.dataset.step ?? 0) : current + by);
  };
  /** @param {number} by */
  const moveScore = (by) => {
    follow(false);
    const at = read();
    const steps = data.scores.map((s) => s.step);
    const next = by > 0 ? steps.find((s) => s > at) : steps.filter((s) => s < at).pop();
    if (next === undefined) say(by > 0 ? "There is no later score." : "There is no earlier score.");
    else void go(next);
  };
  byId("prev")?.addEventListener("click", () => move(-1));
  byId("next")?.addEventListener("click", () => move(1));
  byId("prev-score")?.addEventListener("click", () => moveScore(-1));
  byId("next-score")?.addEventListener("click", () => moveScore(1));
  mlgym.keys([
    { key: "j", text: "next step", run: () => move(1) },
    { key: "k", text: "previous step", run: () => move(-1) },
    { key: "n", text: "next score", run: () => moveScore(1) },
    { key: "p", text: "previous score", run: () => moveScore(-1) },
    { key: "v", text: "next score", run: () => moveScore(1) },
    { key: "V", text: "previous score", run: () => moveScore(-1) },
    { key: "g", text: "first step", run: () => { follow(false); void go(Math.min(1, data.total)); } },
    { key: "G", text: "last step", run: () => void go(data.total) },
    { key: "o", text: "fold or unfold the step", run: () => { const a = byId(`step-${read()}`); if (a) toggleFold(a); } },
    { key: "t", text: "thoughts on or off", run: () => showThoughts(root.classList.contains("no-thought")) },
    ...(input ? [{ key: "/", text: "search this run (Enter: next, Shift+Enter: previous)", run: () => { input.focus(); input.select(); } }] : []),
    ...(data.live ? [{ key: "f", text: "follow the run", run: () => follow(!following) }] : []),
  ]);

  // ---- a run that goes on.

  let following = false;
  /** @param {boolean} on */
  const follow = (on) => {
    if (on === following) return;
    following = on;
    byId("follow")?.setAttribute("aria-pressed", String(on));
    if (on) toEnd();
  };
  byId("follow")?.addEventListener("click", () => follow(!following));
  const toEnd = async () => {
    const c = chunkOf(data.total);
    if (c && c.state !== "full") await load(c);
    if (!following) return;
    pinned = true;
    setCurrent(data.total);
    window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  };

  /** Puts new steps in, or in the place of what was pending. @param {string} html */
  const grow = (html) => {
    const into = document.createElement("div");
    mlgym.fill(into, html);
    /** @type {Node[]} */
    let before = []; // notes stand before their step
    for (const node of [...into.children]) {
      before.push(node);
      if (!(node instanceof HTMLElement) || !node.classList.contains("step")) continue;
      const n = Number(node.dataset.step);
      const nodes = before;
      before = [];
      let c = chunkOf(n);
      if (!c) {
        const last = chunks[chunks.length - 1];
        if (last && n !== last.to + 1) continue; // steps are missing before: they are brought when they are seen
        if (last && last.state === "full" && last.to - last.from + 1 < CHUNK) {
          last.to = n;
          last.el.dataset.to = String(n);
          c = last;
        } else {
          const el = document.createElement("div");
          el.className = "chunk";
          el.dataset.from = el.dataset.to = String(n);
          if (last && last.state !== "full") continue; // extend() makes the space
          list.append(el);
          c = newChunk(el, n, n, "full");
          chunks.push(c);
          observer.observe(el);
        }
      }
      if (c.state !== "full") continue;
      const old = byId(`step-${n}`);
      if (old) {
        for (let e = old.previousElementSibling; e && e.classList.contains("event"); e = old.previousElementSibling) e.remove();
        old.replaceWith(...nodes);
      } else c.el.append(...nodes);
      dress(c.el);
    }
  };

  const listen = () => {
    if (!data.live || data.static || !window.EventSource) return;
    const has = data.pending ? data.total - 1 : data.total;
    const source = new EventSource(`${base}events?from=${has}`);
    const pillOf = byId("live");
    source.addEventListener("open", () => { if (pillOf) pillOf.textContent = "live"; });
    source.addEventListener("error", () => { if (pillOf && data.live) pillOf.textContent = "connecting …"; });
    source.addEventListener("grow", (e) => {
      /** @type {{total: number, pending: boolean, live: boolean, from: number, steps: string, head: string, timeline: string, chart: string, closing: string, scores: {step: number, kind: string}[]}} */
      const g = JSON.parse(e.data);
      data.total = g.total;
      data.pending = g.pending;
      data.scores = g.scores;
      keepPlace(() => {
        for (const name of /** @type {const} */ (["head", "timeline", "chart", "closing"])) {
          const part = byId(name);
          if (part && (g[name] || name !== "timeline")) mlgym.fill(part, g[name]);
        }
        if (!data.paged) {
          if (g.steps) grow(g.steps);
          extend();
        }
      });
      index = mlgym.data("timeline-data");
      showPlace();
      showNow();
      tidy();
      if (following) void toEnd();
    });
    source.addEventListener("end", () => {
      source.close();
      data.live = false;
      if (pillOf) {
        pillOf.textContent = "ended";
        pillOf.classList.remove("now");
      }
      follow(false);
      byId("follow")?.setAttribute("hidden", "");
      say("The run has ended.");
    });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
  };

  const verdict = async () => {
    const box = byId("audit");
    if (!box || data.static) return;
    try {
      const answer = await fetch(`${base}audit/?part=1`);
      if (answer.ok) {
        const html = await answer.text();
        keepPlace(() => mlgym.fill(box, html));
      }
    } catch {
      // The link is there.
    }
  };

  measure();
  if (!data.paged) {
    extend();
    if (first) observer.observe(first);
  }
  fromHash();
  listen();
  void verdict();
})();

// @ts-check
// The list of runs: keeps itself up to date, lets runs be chosen with the keyboard, and
// in a page without a server sorts itself.
(() => {
  "use strict";

  const list = document.getElementById("list");
  if (!list) return;
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("choose"));
  const rows = () => /** @type {HTMLTableRowElement[]} */ ([...list.querySelectorAll("tr[data-run]")]);

  // The column is narrow: the year only where it is another one.
  const shorten = () => {
    for (const cell of list.querySelectorAll("td.started time")) {
      const at = new Date(/** @type {HTMLTimeElement} */ (cell).dateTime);
      const year = at.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
      if (!Number.isNaN(at.getTime())) cell.textContent = at.toLocaleString(undefined, { year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
    }
  };
  shorten();

  // Rows by the keyboard: the focus is on a row's link, so Enter opens it.

  /** @param {number} by */
  const move = (by) => {
    const all = rows();
    if (all.length === 0) return;
    const now = all.findIndex((row) => row.contains(document.activeElement));
    const to = now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + by));
    const link = /** @type {HTMLElement | null} */ (all[to].querySelector("a.open"));
    link?.focus();
    all[to].scrollIntoView({ block: "nearest" });
  };
  const keys = [
    { key: "j", text: "next run; Enter opens it", run: () => move(1) },
    { key: "k", text: "previous run", run: () => move(-1) },
  ];

  if (!form) {
    sortable();
    mlgym.keys(keys);
    return;
  }

  // What is chosen is kept for this tab, over pages and orders of the list.

  const most = 6;
  const store = "mlgym-compare";
  /** @type {Map<string, string>} */
  let chosen = new Map();
  try {
    const kept = JSON.parse(sessionStorage.getItem(store) || "[]");
    if (Array.isArray(kept)) chosen = new Map(kept.filter((k) => Array.isArray(k) && typeof k[0] === "string"));
  } catch {
    // No storage: for this page only.
  }
  const status = document.getElementById("chosen");
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("compare-button"));
  const clear = document.getElementById("chosen-clear");

  const show = () => {
    for (const row of rows()) {
      const box = /** @type {HTMLInputElement | null} */ (row.querySelector("input[name=run]"));
      if (!box) continue;
      box.checked = chosen.has(box.value);
      row.classList.toggle("picked", box.checked);
    }
    const here = new Set(rows().map((row) => row.dataset.run));
    const elsewhere = [...chosen.keys()].filter((key) => !here.has(key)).length;
    if (status) {
      status.textContent =
        chosen.size === 0
          ? "Tick two to six runs to compare them."
          : `${chosen.size} chosen${elsewhere ? `, ${elsewhere} of them on other pages` : ""}${chosen.size === 1 ? "; tick another" : ""}${chosen.size > most ? `; at most ${most} can be compared` : ""}`;
    }
    if (button) button.disabled = chosen.size < 2 || chosen.size > most;
    if (clear) clear.hidden = chosen.size === 0;
    try {
      sessionStorage.setItem(store, JSON.stringify([...chosen]));
    } catch {
      // For this page only.
    }
  };
  list.addEventListener("change", (e) => {
    const box = e.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "run") return;
    if (box.checked) chosen.set(box.value, "");
    else chosen.delete(box.value);
    show();
  });
  clear?.addEventListener("click", () => {
    chosen.clear();
    show();
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    if (chosen.size < 2 || chosen.size > most) return;
    location.assign(`${form.action}?run=${[...chosen.keys()].join(",")}`);
  });
  show();

  const filters = /** @type {HTMLFormElement | null} */ (document.getElementById("filters"));
  filters?.addEventListener("change", (e) => {
    if (e.target instanceof HTMLSelectElement || (e.target instanceof HTMLInputElement && e.target.type === "checkbox")) filters.requestSubmit();
  });
  // Empty fields do not belong in the address.
  filters?.addEventListener("submit", () => {
    for (const field of filters.querySelectorAll("input, select")) {
      const input = /** @type {HTMLInputElement} */ (field);
      if (input.value === "") input.disabled = true;
    }
    setTimeout(() => {
      for (const field of filters.querySelectorAll("input, select")) /** @type {HTMLInputElement} */ (field).disabled = false;
    });
  });

  mlgym.keys([
    ...keys,
    {
      key: "x",
      text: "choose the run, to compare it",
      run: () => {
        const row = rows().find((r) => r.contains(document.activeElement));
        /** @type {HTMLInputElement | null} */ (row?.querySelector("input[name=run]") ?? null)?.click();
      },
    },
    { key: "c", text: "compare the chosen runs", run: () => button && !button.disabled && button.click() },
    {
      key: "/",
      text: "filter by name",
      run: () => {
        const field = /** @type {HTMLInputElement | null} */ (document.getElementById("filter-text"));
        field?.focus();
        field?.select();
      },
    },
  ]);

  // The list as the server has it now, in the place of this one. What was scrolled,
  // chosen and focused stays.

  let generation = Number(document.getElementById("list-state")?.dataset.generation ?? 0);
  let reading = false;
  /** @type {number | undefined} */
  let timer;
  let last = 0;
  const pause = 2000;

  const refresh = async () => {
    timer = undefined;
    last = Date.now();
    const query = form.dataset.query ? `?${form.dataset.query}` : "";
    try {
      const answer = await fetch(form.dataset.fragment + query, { credentials: "same-origin" });
      if (!answer.ok) return;
      put(await answer.text());
    } catch {
      // The server is gone; the stream tells when it is back.
      return;
    }
    await fill();
  };

  /** @param {string} html */
  const put = (html) => {
    const focus = /** @type {HTMLElement | null} */ (document.activeElement);
    const row = /** @type {HTMLElement | null} */ (focus && list.contains(focus) ? focus.closest("tr[data-run]") : null);
    const part = focus instanceof HTMLInputElement ? "input[name=run]" : "a.open";
    const sorted = focus && list.contains(focus) ? focus.dataset.sort : undefined;
    const across = list.querySelector(".scroll")?.scrollLeft ?? 0;
    // What the reader looks at stays where it is, unless that is the top, where new runs
    // show up.
    const seen = row ?? rows().find((r) => r.getBoundingClientRect().bottom > 0);
    const anchor = window.scrollY > 40 ? seen?.dataset.run : undefined;
    const down = window.scrollY;
    const top = seen?.getBoundingClientRect().top ?? 0;
    mlgym.fill(list, html);
    shorten();
    generation = Number(document.getElementById("list-state")?.dataset.generation ?? generation);
    const box = list.querySelector(".scroll");
    if (box) box.scrollLeft = across;
    show();
    /** @type {HTMLElement | null} */
    let again = null;
    if (row) again = list.querySelector(`tr[data-run="${CSS.escape(row.dataset.run ?? "")}"] ${part}`);
    else if (sorted) again = list.querySelector(`a[data-sort="${CSS.escape(sorted)}"]`);
    again?.focus({ preventScroll: true });
    const there = anchor === undefined ? undefined : rows().find((r) => r.dataset.run === anchor);
    window.scrollTo(window.scrollX, there ? window.scrollY + there.getBoundingClientRect().top - top : down);
    list.dispatchEvent(new CustomEvent("mlgym-list"));
  };

  // What can be chosen grows with the runs. The fields are not taken from under a hand.
  let fields = Date.now();
  const fill = async () => {
    const box = document.getElementById("facets");
    if (!box || Date.now() < fields + 5 * pause || filters?.contains(document.activeElement)) return;
    fields = Date.now();
    try {
      const answer = await fetch(form.dataset.filters + (form.dataset.query ? `?${form.dataset.query}` : ""), { credentials: "same-origin" });
      if (answer.ok && !filters?.contains(document.activeElement)) mlgym.fill(box, await answer.text());
    } catch {
      // As above.
    }
  };

  const soon = () => {
    if (timer !== undefined) return;
    timer = window.setTimeout(refresh, Math.max(0, last + pause - Date.now()));
  };

  document.addEventListener("mlgym-runs", (e) => {
    const news = /** @type {CustomEvent} */ (e).detail;
    if (reading && !news.reading) fields = 0;
    if (news.generation !== generation || news.reading || reading) soon();
    reading = news.reading;
  });

  /** A table without a server: its heads become buttons. */
  function sortable() {
    const table = /** @type {HTMLTableElement | null} */ (list?.querySelector("table.runs") ?? null);
    const body = table?.tBodies[0];
    if (!table || !body) return;
    /** @type {HTMLElement[]} */
    const heads = [...table.querySelectorAll("thead th")].map((h) => /** @type {HTMLElement} */ (h));
    heads.forEach((head, index) => {
      const sort = document.createElement("button");
      sort.type = "button";
      sort.textContent = head.textContent?.trim() || "";
      head.replaceChildren(sort);
      sort.addEventListener("click", () => {
        const numeric = head.classList.contains("num") || head.classList.contains("started");
        const up = head.getAttribute("aria-sort") === "ascending" ? false : head.getAttribute("aria-sort") === "descending" ? true : !numeric;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        /** @param {HTMLTableRowElement} row */
        const value = (row) => {
          const cell = row.cells[index];
          return cell.dataset.value ?? cell.textContent?.trim() ?? "";
        };
        const sign = up ? 1 : -1;
        const order = [...body.rows].sort((a, b) => {
          const x = value(a);
          const y = value(b);
          if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1; // what lacks it comes last
          return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
        });
        body.append(...order);
      });
    });
  }
})();

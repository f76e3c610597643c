// @ts-check
// Keeps the page of an experiment, and the list of them, as the server sees them:
// each patch is a set of elements by their ids, rendered by the server.
(() => {
  "use strict";
  // @ts-ignore
  const mlgym = window.mlgym;

  const root = () => /** @type {HTMLElement | null} */ (document.querySelector("[data-live]"));

  /** @type {EventSource | null} */
  let source = null;
  let mark = root()?.dataset.mark || "";
  /** When each element with an age was received. @type {WeakMap<Element, number>} */
  const received = new WeakMap();

  /** @param {string} html */
  const parse = (html) => {
    // A row can only stand in a table.
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };

  /** @param {Element} old @param {Element} fresh */
  const replace = (old, fresh) => {
    const active = document.activeElement;
    const focused = active && old.contains(active) ? active.id || active.getAttribute("href") : null;
    for (const details of old.querySelectorAll("details")) {
      const same = details.id ? fresh.querySelector("#" + CSS.escape(details.id)) : fresh.querySelector("details");
      if (same instanceof HTMLDetailsElement) same.open = details.open;
    }
    const box = old.querySelector(".scroll.events");
    const top = box ? box.scrollTop : 0;
    old.replaceWith(fresh);
    const again = fresh.querySelector(".scroll.events");
    if (again) again.scrollTop = top;
    mlgym.times(fresh);
    enhance(fresh);
    if (focused !== null) {
      const target = active && active.id ? document.getElementById(active.id) : [...fresh.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused);
      if (target instanceof HTMLElement) target.focus({ preventScroll: true });
    }
  };

  /** @param {Record<string, string>} patch */
  const apply = (patch) => {
    for (const [id, html] of Object.entries(patch)) {
      const old = document.getElementById(id);
      const fresh = old ? parse(html) : null;
      if (old && fresh) replace(old, fresh);
    }
  };

  // The page is too old for patches: it is fetched again, and takes the place of
  // what is shown, so that the reader stays where they are.
  const reload = async () => {
    disconnect();
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]");
      const old = root();
      if (answer.ok && fresh && old) {
        mark = fresh.getAttribute("data-mark") || "";
        replace(old, document.importNode(fresh, true));
      }
    } catch {
      // The server is away; it is tried again with the next connection.
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    connect();
  };

  const connect = () => {
    const address = root()?.dataset.live;
    if (!address || source || document.hidden) return;
    source = new EventSource(address + "?since=" + encodeURIComponent(mark));
    source.addEventListener("patch", (e) => {
      mark = e.lastEventId || mark;
      apply(JSON.parse(e.data));
    });
    source.addEventListener("reload", () => void reload());
    source.addEventListener("open", () => document.documentElement.removeAttribute("data-offline"));
    source.addEventListener("error", () => {
      document.documentElement.setAttribute("data-offline", "");
      if (source && source.readyState === EventSource.CLOSED) {
        // Refused: by a server that was started anew, or that has too many listeners.
        disconnect();
        setTimeout(connect, 5000);
      }
    });
  };
  const disconnect = () => {
    if (source) source.close();
    source = null;
  };
  // Nobody looks at a hidden page; it catches up when it is seen again.
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));

  // Ages grow between two patches.
  const late = 15;
  const tick = () => {
    const now = performance.now();
    for (const cell of document.querySelectorAll("[data-age]")) {
      const at = received.get(cell) ?? now;
      received.set(cell, at);
      const age = Number(cell.getAttribute("data-age")) + (now - at) / 1000;
      const text = age < 1.5 ? "now" : age < 120 ? Math.round(age) + " s ago" : Math.round(age / 60) + " min ago";
      if (cell.textContent !== text) cell.textContent = text;
      cell.classList.toggle("late", age > late);
    }
  };

  /** @param {ParentNode} node */
  const enhance = (node) => {
    for (const cell of node.querySelectorAll("[data-age]")) received.set(cell, performance.now());
    for (const code of node.querySelectorAll("code[data-copy]")) {
      if (!navigator.clipboard || code.nextElementSibling?.classList.contains("copy")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(code.textContent || "");
        button.textContent = "Copied";
      });
      code.after(button);
    }
  };

  // What an episode is, below the matrix, also for those who have no mouse.
  /** @param {Event} e */
  const about = (e) => {
    const line = document.getElementById("about");
    const cell = e.target instanceof Element ? e.target.closest("a.ep") : null;
    if (line && cell) line.textContent = cell.getAttribute("title") || "";
  };
  document.addEventListener("focusin", about);
  document.addEventListener("mouseover", about);

  /** @param {string} select @param {number} by */
  const go = (select, by) => {
    const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(select)]);
    if (all.length === 0) return;
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const next = at < 0 && by < 0 ? all.length - 1 : (at + by + all.length) % all.length;
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  if (document.getElementById("matrix")) {
    mlgym.keys([
      { key: "j", text: "next episode of the matrix", run: () => go("#matrix a.ep", 1) },
      { key: "k", text: "previous episode", run: () => go("#matrix a.ep", -1) },
      { key: "f", text: "next one that failed or was cut", run: () => go("#matrix a.failed, #matrix a.odd, #matrix a.cut", 1) },
      { key: "r", text: "next one that runs", run: () => go("#matrix a.running", 1) },
    ]);
  } else if (document.getElementById("list")) {
    mlgym.keys([
      { key: "j", text: "next experiment", run: () => go("table.experiments th a", 1) },
      { key: "k", text: "previous experiment", run: () => go("table.experiments th a", -1) },
    ]);
  }

  enhance(document);
  connect();
  setInterval(tick, 1000);
})();

// @ts-check
// What every page has: the switch of colours, times in the reader's zone, and the
// list of keys. Pages add their keys with mlgym.keys().
(() => {
  "use strict";

  /** @type {{key: string, text: string, run: (e: KeyboardEvent) => void}[]} */
  const keys = [];

  /** @param {EventTarget | null} target */
  const typing = (target) =>
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

  const mlgym = {
    /**
     * Adds keys of a page. A key is what KeyboardEvent.key says.
     * @param {{key: string, text: string, run: (e: KeyboardEvent) => void}[]} more
     */
    keys(more) {
      keys.push(...more);
      const hint = document.getElementById("keys-hint");
      if (hint) hint.hidden = false;
    },

    /**
     * Reads a data block of the page.
     * @param {string} id
     */
    data(id) {
      const block = document.getElementById(id);
      return block ? JSON.parse(block.textContent || "null") : null;
    },

    /** Shows the times below a node in the reader's zone. @param {ParentNode} node */
    times(node) {
      for (const time of node.querySelectorAll("time[datetime]:not([data-local])")) {
        const at = new Date(/** @type {HTMLTimeElement} */ (time).dateTime);
        if (Number.isNaN(at.getTime())) continue;
        time.setAttribute("data-local", "");
        time.setAttribute("title", time.textContent || "");
        time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      }
    },

    /**
     * Puts HTML of our server in the place of an element's content.
     * @param {Element} element @param {string} html
     */
    fill(element, html) {
      const range = document.createRange();
      range.selectNodeContents(element);
      element.replaceChildren(range.createContextualFragment(html));
      mlgym.times(element);
    },

    /** The value of a colour of the style sheet. @param {string} name */
    color(name) {
      return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    },
  };
  // @ts-ignore
  window.mlgym = mlgym;

  const showKeys = () => {
    let box = /** @type {HTMLDialogElement | null} */ (document.getElementById("keys"));
    if (!box) {
      box = document.createElement("dialog");
      box.id = "keys";
      const title = document.createElement("h2");
      title.textContent = "Keys";
      const list = document.createElement("dl");
      for (const k of [...keys, { key: "?", text: "this list" }, { key: "Escape", text: "close" }]) {
        const name = document.createElement("dt");
        const kbd = document.createElement("kbd");
        kbd.textContent = k.key;
        name.append(kbd);
        const text = document.createElement("dd");
        text.textContent = k.text;
        list.append(name, text);
      }
      box.append(title, list);
      document.body.append(box);
    }
    if (box.open) box.close();
    else box.showModal();
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
    if (e.key === "?") {
      showKeys();
      e.preventDefault();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const found = keys.find((k) => k.key === e.key);
    if (found) {
      e.preventDefault();
      found.run(e);
    }
  });

  const button = document.getElementById("theme");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try {
        localStorage.setItem("mlgym-theme", root.dataset.theme);
      } catch {
        // No storage: for this page only.
      }
      document.dispatchEvent(new CustomEvent("mlgym-theme"));
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("mlgym-theme")));

  mlgym.times(document);
})();

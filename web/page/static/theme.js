// @ts-check
// The colours that the reader chose, before anything is painted.
(() => {
  "use strict";
  try {
    const chosen = localStorage.getItem("mlgym-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // No storage: the system's colours.
  }
  document.documentElement.classList.add("js");
})();

// @ts-check
// An episode in the browser: commands are sent as the forms say, and what they lead to
// comes as events, so that a page that was away finds everything again.
(() => {
  "use strict";
  const game = document.getElementById("game");
  const transcript = document.getElementById("transcript");
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("command-form"));
  const input = /** @type {HTMLTextAreaElement | null} */ (document.getElementById("command"));
  const editorForm = /** @type {HTMLFormElement | null} */ (document.getElementById("editor-form"));
  const filesForm = /** @type {HTMLFormElement | null} */ (document.getElementById("files-form"));
  const text = /** @type {HTMLTextAreaElement | null} */ (document.getElementById("editor-text"));
  const name = /** @type {HTMLInputElement | null} */ (document.getElementById("editor-name"));
  const note = document.getElementById("editor-note");
  const status = document.getElementById("status");
  const problem = document.getElementById("problem");
  if (!game || !transcript || !form || !input || !editorForm || !filesForm || !text || !name || !note || !status || !problem) return;

  const csrf = String(new FormData(form).get("csrf") || "");
  const { mlgym } = window;

  /** @param {string} message */
  const complain = (message) => {
    problem.textContent = message;
    problem.hidden = message === "";
  };

  // What runs, and what is over.
  let running = game.dataset.running === "true";
  let over = game.dataset.over === "true";
  const show = () => {
    for (const id of ["send", "validate", "submit", "editor-save"]) {
      const button = /** @type {HTMLButtonElement | null} */ (document.getElementById(id));
      if (button) button.disabled = over || running;
    }
    const interrupt = /** @type {HTMLButtonElement | null} */ (document.getElementById("interrupt"));
    if (interrupt) interrupt.hidden = !running;
    for (const id of ["hand-in", "give-up"]) {
      const box = document.getElementById(id);
      if (box) box.hidden = over || running;
    }
    input.disabled = over;
    if (over) input.placeholder = "the episode is over";
  };
  show();

  /**
   * Sends an action; false where it was refused.
   * @param {Record<string, string>} fields
   */
  const send = async (fields) => {
    complain("");
    try {
      const answer = await fetch(location.pathname, {
        method: "POST",
        headers: { "X-CSRF-Token": csrf },
        body: new URLSearchParams(fields),
        credentials: "same-origin",
      });
      if (answer.ok) return true;
      const kind = answer.headers.get("Content-Type") || "";
      complain(kind.startsWith("text/plain") ? (await answer.text()).trim() : "The server answered: " + answer.status + " " + answer.statusText);
    } catch {
      complain("The server cannot be reached. What you typed is still here.");
    }
    return false;
  };

  // The history is what the transcript holds, and grows with it.
  /** @type {string[]} */
  const history = [];
  /** What an entry was typed as, "" where the editor did it. @param {Element} entry */
  const commandOf = (entry) => {
    try {
      return decodeURIComponent(entry.getAttribute("data-command") || "");
    } catch {
      return ""; // bytes that are no text
    }
  };
  for (const entry of transcript.querySelectorAll("[data-command]")) history.push(commandOf(entry));
  let place = history.length;
  let draft = "";
  /** @param {string} command */
  const remember = (command) => {
    if (history[history.length - 1] !== command) history.push(command);
    place = history.length;
  };

  const fit = () => {
    input.rows = Math.min(12, input.value.split("\n").length);
  };
  /** @param {string} value */
  const type = (value) => {
    input.value = value;
    fit();
    input.setSelectionRange(value.length, value.length);
  };

  const bottom = () => {
    transcript.scrollTop = transcript.scrollHeight;
  };
  bottom();

  const run = async () => {
    const command = input.value;
    if (command.trim() === "" || over) return;
    if (!(await send({ do: "run", command }))) return;
    if (!running || command.trim() !== "interrupt") remember(command);
    if (input.value === command) type("");
    draft = "";
    bottom();
  };

  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const button = e.submitter instanceof HTMLButtonElement ? e.submitter : null;
    const what = button ? button.value : "run";
    if (what === "run") {
      void run();
      return;
    }
    const box = button && button.closest("details");
    if (box) box.open = false;
    void send({ do: what });
    input.focus();
  });
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (e) => {
    if (e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      void run();
      return;
    }
    const before = input.value.slice(0, input.selectionStart);
    const after = input.value.slice(input.selectionEnd);
    if (e.key === "ArrowUp" && !before.includes("\n") && place > 0) {
      e.preventDefault();
      if (place === history.length) draft = input.value;
      place -= 1;
      type(history[place]);
    } else if (e.key === "ArrowDown" && !after.includes("\n") && place < history.length) {
      e.preventDefault();
      place += 1;
      type(place === history.length ? draft : history[place]);
    }
  });
  document.addEventListener("keydown", (e) => {
    if (!running || e.key !== "c" || !e.ctrlKey || e.shiftKey || e.altKey || e.metaKey) return;
    const chosen = String(window.getSelection() || "") !== "" || (document.activeElement === input && input.selectionStart !== input.selectionEnd);
    if (chosen) return; // it is copied
    e.preventDefault();
    void send({ do: "interrupt" });
  });

  // The editor: that of the library where it is there, a plain field where not.
  let saved = text.value;
  /** @type {{getDoc(): string, setDoc(doc: string, language?: string): void, focus(): void} | null} */
  let editor = null;
  const save = async () => {
    if (over || running) return;
    note.textContent = "Saving…";
    if (!(await send({ do: "save", name: name.value, text: current() }))) note.textContent = "Not saved.";
  };
  const current = () => (editor ? editor.getDoc() : text.value);
  const place2 = document.getElementById("editor");
  if (window.mlgymEditor && place2) {
    place2.hidden = false;
    try {
      editor = window.mlgymEditor.create(place2, {
        doc: text.value,
        language: text.dataset.language || "",
        label: "Text of the file",
        onSave: () => void save(),
        onChange: () => {
          note.textContent = current() === saved ? "" : "Changed, not saved.";
        },
      });
      text.hidden = true;
    } catch {
      place2.hidden = true; // the field is there
    }
  }
  editorForm.addEventListener("submit", (e) => {
    e.preventDefault();
    void save();
  });
  text.addEventListener("input", () => {
    note.textContent = current() === saved ? "" : "Changed, not saved.";
  });
  filesForm.addEventListener("submit", (e) => {
    e.preventDefault();
    const button = e.submitter instanceof HTMLButtonElement ? e.submitter : null;
    if (!button) return;
    if (button.name === "open" && current() !== saved && !confirm("What you changed in " + (name.value || "the editor") + " is not saved. Open " + button.value + " in its place?")) return;
    void send(button.name === "open" ? { do: "open", name: button.value } : { do: "list" });
  });
  window.addEventListener("beforeunload", (e) => {
    if (!over && current() !== saved) e.preventDefault();
  });

  /** @param {{name: string, text: string, kind: string, problem: string, note: string, language: string}} doc */
  const opened = (doc) => {
    if (doc.kind === "open" && !doc.problem) {
      name.value = doc.name;
      if (editor) editor.setDoc(doc.text, doc.language);
      else text.value = doc.text;
      saved = current();
      note.textContent = doc.note;
      return;
    }
    if (doc.kind === "save" && !doc.problem) saved = doc.text;
    note.textContent = doc.problem || (current() === saved ? doc.note : "Saved; changed since.");
  };

  // What happens comes as events, each part of the page as the server renders it.
  const source = new EventSource("events?rev=" + encodeURIComponent(game.dataset.rev || "0"));
  source.addEventListener("entry", (e) => {
    const entry = JSON.parse(e.data);
    const atEnd = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 60;
    const old = document.getElementById("entry-" + entry.n);
    const holder = document.createElement("div");
    mlgym.fill(holder, entry.html);
    const fresh = holder.firstElementChild;
    if (!fresh) return;
    startClocks(fresh);
    if (old) {
      if (old.querySelector("details[open]")) fresh.querySelector("details")?.setAttribute("open", "");
      old.replaceWith(fresh);
    } else {
      document.getElementById("nothing")?.remove();
      transcript.append(fresh);
      const command = commandOf(fresh);
      if (command && command !== history[history.length - 1]) remember(command);
    }
    if (atEnd) bottom();
  });
  source.addEventListener("files", (e) => {
    const list = document.getElementById("files");
    if (list) mlgym.fill(list, JSON.parse(e.data).html);
  });
  source.addEventListener("doc", (e) => opened(JSON.parse(e.data)));
  source.addEventListener("status", (e) => {
    const now = JSON.parse(e.data);
    mlgym.fill(status, now.html);
    running = now.running;
    over = now.over;
    const prompt = document.getElementById("prompt");
    if (prompt) prompt.textContent = now.prompt + " $";
    show();
    if (over && document.getElementById("recorded")) source.close();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED && !over) complain("The connection is lost; open the page again. The episode goes on.");
  });

  // Clocks of what runs. They count from when the server said how long it was.
  /** @type {Map<Element, number>} */
  const clocks = new Map();
  /** @param {ParentNode} node */
  const startClocks = (node) => {
    for (const clock of node.querySelectorAll("[data-elapsed]")) {
      clocks.set(clock, performance.now() - 1000 * Number(clock.getAttribute("data-elapsed")));
    }
  };
  startClocks(document);
  setInterval(() => {
    for (const [clock, from] of clocks) {
      if (!clock.isConnected) {
        clocks.delete(clock);
        continue;
      }
      const seconds = Math.floor((performance.now() - from) / 1000);
      clock.textContent = seconds < 120 ? seconds + " s" : Math.floor(seconds / 60) + " min " + String(seconds % 60).padStart(2, "0") + " s";
    }
  }, 1000);

  if (!over && window.matchMedia("(min-width: 60rem)").matches) input.focus({ preventScroll: true });
})();

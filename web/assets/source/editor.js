// CodeMirror as one function, as the global mlgymEditor.
//
// CodeMirror adds rules of style to the page that it stands in, which our content
// security policy refuses for style elements. In a shadow root it uses style
// sheets made by script instead, which the policy allows; the colours are the
// variables of the site's style sheet, which reach into it.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const languages = {
  python: () => python(),
  shell: () => StreamLanguage.define(shell),
  yaml: () => StreamLanguage.define(yaml),
};

const colors = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--c4)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--c3)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--c2)" },
  { tag: [tags.comment, tags.meta], color: "var(--text-soft)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "var(--c1)" },
  { tag: [tags.definition(tags.variableName), tags.className, tags.typeName], color: "var(--c5)" },
  { tag: [tags.propertyName, tags.attributeName], color: "var(--c6)" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--bg)", fontSize: "0.87rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.45" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--bg-soft)", color: "var(--text-soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--bg-soft)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft)" },
  ".cm-selectionMatch": { backgroundColor: "var(--warn-soft)" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)", outline: "1px solid var(--warn)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--accent-soft)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--bg-strong)", outline: "1px solid var(--line)" },
  ".cm-panels, .cm-tooltip": { backgroundColor: "var(--bg-soft)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-textfield, .cm-button": { color: "var(--text)", backgroundColor: "var(--bg)", backgroundImage: "none", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--text)" },
});

/**
 * Makes an editor fill an element.
 *
 * @param {HTMLElement} parent
 * @param {{doc?: string, language?: string, readOnly?: boolean, label?: string, onSave?: (doc: string) => void, onChange?: () => void}} [options]
 *   language is python, shell or yaml, else plain text; onSave is called for Ctrl-S, onChange after each change by the reader.
 */
function create(parent, options = {}) {
  const root = parent.shadowRoot || parent.attachShadow({ mode: "open" });
  root.replaceChildren();
  const language = new Compartment();
  const readOnly = new Compartment();
  const speak = (/** @type {string | undefined} */ name) => (name && Object.hasOwn(languages, name) ? languages[name]() : []);
  const locked = (/** @type {boolean | undefined} */ yes) => [EditorState.readOnly.of(!!yes), EditorView.editable.of(!yes)];
  const make = (/** @type {string} */ doc, /** @type {string | undefined} */ name, /** @type {boolean | undefined} */ lock) =>
    EditorState.create({
      doc,
      extensions: [
        lineNumbers(),
        highlightActiveLineGutter(),
        highlightActiveLine(),
        history(),
        drawSelection(),
        EditorState.allowMultipleSelections.of(true),
        indentOnInput(),
        indentUnit.of("    "),
        EditorState.tabSize.of(4),
        syntaxHighlighting(colors),
        bracketMatching(),
        closeBrackets(),
        autocompletion(),
        highlightSelectionMatches(),
        keymap.of([
          {
            key: "Mod-s",
            preventDefault: true,
            run(view) {
              if (options.onSave) options.onSave(view.state.doc.toString());
              return true;
            },
          },
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...completionKeymap,
          indentWithTab,
        ]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && options.onChange) options.onChange();
        }),
        EditorView.contentAttributes.of({ "aria-label": options.label || "Editor" }),
        language.of(speak(name)),
        readOnly.of(locked(lock)),
        theme,
      ],
    });
  const view = new EditorView({ state: make(options.doc || "", options.language, options.readOnly), parent: root, root });
  return {
    view,
    getDoc: () => view.state.doc.toString(),
    /** Shows another text, without a way back to the one before. */
    setDoc: (/** @type {string} */ doc, /** @type {string | undefined} */ name, /** @type {boolean | undefined} */ lock) =>
      view.setState(make(doc, name, lock)),
    setReadOnly: (/** @type {boolean} */ yes) => view.dispatch({ effects: readOnly.reconfigure(locked(yes)) }),
    setLanguage: (/** @type {string} */ name) => view.dispatch({ effects: language.reconfigure(speak(name)) }),
    focus: () => view.focus(),
    destroy() {
      view.destroy();
      root.replaceChildren();
    },
  };
}

globalThis.mlgymEditor = { create };

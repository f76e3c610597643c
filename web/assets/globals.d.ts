// What the scripts of the pages find in the window, for scripts/assets.sh --check.

/** web/page/static/app.js */
declare const mlgym: {
  keys(more: { key: string; text: string; run: (e: KeyboardEvent) => void }[]): void;
  data(id: string): any;
  times(node: ParentNode): void;
  fill(element: Element, html: string): void;
  color(name: string): string;
};

/** web/assets/source/chart.js; not there where mlgym was built without it. */
declare const Chart: any;

/** web/assets/source/editor.js; not there where mlgym was built without it. */
declare const mlgymEditor: {
  create(
    parent: HTMLElement,
    options?: {
      doc?: string;
      language?: string;
      readOnly?: boolean;
      label?: string;
      onSave?: (doc: string) => void;
      onChange?: () => void;
    },
  ): {
    view: any;
    getDoc(): string;
    setDoc(doc: string, language?: string, readOnly?: boolean): void;
    setReadOnly(yes: boolean): void;
    setLanguage(name: string): void;
    focus(): void;
    destroy(): void;
  };
};

/** web/leaderboard/static/charts.js */
declare const mlgymCharts: any;

interface Window {
  mlgym: typeof mlgym;
  Chart?: typeof Chart;
  mlgymEditor?: typeof mlgymEditor;
  mlgymCharts?: typeof mlgymCharts;
}

package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
)

//go:embed page.html
var pageText string

// writeHTML writes the page; drawn holds the SVG text of each figure.
func (r *Report) writeHTML(w io.Writer, figures []*Figure, drawn []string) error {
	svg := make(map[*Figure]template.HTML, len(figures))
	for i, f := range figures {
		svg[f] = template.HTML(inlineSVG(drawn[i], f.Title)) //nolint:gosec // drawn by us, texts escaped by the canvas
	}
	page, err := template.New("page").Funcs(template.FuncMap{
		"svg":        func(f *Figure) template.HTML { return svg[f] },
		"strong":     func(t *Table, row, column int) bool { return t.Strong[[2]int{row, column}] },
		"definition": func(d Definition) string { return definitionText[d] },
		"text":       func(t *Table, column int) bool { return column < max(t.Text, 1) },
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		Report   *Report
		Sections []Section
	}{r, r.sections(figures)})
}

// inlineSVG makes an SVG file fit to stand within a page: no declaration, a
// size that follows the page, and a name for those who cannot see it.
func inlineSVG(text, title string) string {
	if at := strings.Index(text, "<svg"); at >= 0 {
		text = text[at:]
	}
	end := strings.IndexByte(text, '>')
	if end < 0 {
		return ""
	}
	return strings.Replace(text[:end], "<svg", `<svg role="img" aria-label="`+template.HTMLEscapeString(title)+`"`, 1) + text[end:]
}

// WriteMarkdown writes the report as one Markdown text; its figures are the
// SVG files of the same report.
func (r *Report) WriteMarkdown(w io.Writer) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "# Report on %d runs\n", r.Runs.Used)
	for _, s := range r.sections(r.EveryFigure()) {
		fmt.Fprintf(bw, "\n## %s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(bw, "\n%s\n", s.Text)
		}
		for _, f := range s.Figures {
			folder := "figures"
			if f.Definition == Corrected {
				folder = path.Join(folder, string(Corrected))
			}
			title := f.Title
			if f.Definition != "" {
				title += " (definitions: " + definitionText[f.Definition] + ")"
			}
			fmt.Fprintf(bw, "\n![%s](%s.svg)\n", title, path.Join(folder, f.Name))
		}
		for _, t := range s.Tables {
			title := t.Title
			if t.Definition != "" {
				title += " (definitions: " + definitionText[t.Definition] + ")"
			}
			fmt.Fprintf(bw, "\n### %s\n\n", title)
			if t.About != "" {
				fmt.Fprintf(bw, "%s\n\n", t.About)
			}
			if err := t.emphasised().WriteMarkdown(bw); err != nil {
				return err
			}
		}
	}
	return bw.Flush()
}

// emphasised is the table with its strong cells in bold letters.
func (t *Table) emphasised() *Table {
	if len(t.Strong) == 0 {
		return t
	}
	bold := *t
	bold.Rows = make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		bold.Rows[i] = append([]string(nil), row...)
		for j, c := range row {
			if t.Strong[[2]int{i, j}] && c != "" {
				bold.Rows[i][j] = "**" + c + "**"
			}
		}
	}
	return &bold
}

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"mlgym/plot"
)

// Format is a kind of output.
type Format string

// The formats.
const (
	CSV      Format = "csv"
	Markdown Format = "md"
	LaTeX    Format = "tex"
	HTML     Format = "html"
	SVG      Format = "svg"
	PNG      Format = "png"
	PDF      Format = "pdf"
	JSON     Format = "json"
)

// Formats lists all formats.
func Formats() []Format { return []Format{CSV, Markdown, LaTeX, HTML, SVG, PNG, PDF, JSON} }

// WriteDir writes the report below dir, which is made if it is not there.
// Files that a report writes are replaced, others are left alone. Tables of
// corrected definitions lie in folders of that name.
func (r *Report) WriteDir(ctx context.Context, dir string, formats []Format) error {
	if len(formats) == 0 {
		formats = Formats()
	}
	want := func(f Format) bool { return slices.Contains(formats, f) }
	var jobs []job
	add := func(path string, write func(io.Writer) error) {
		jobs = append(jobs, job{filepath.Join(dir, path), write})
	}
	under := func(folder string, d Definition) string {
		if d == Corrected {
			return filepath.Join(folder, string(Corrected))
		}
		return folder
	}
	figures := r.EveryFigure()
	drawn := make([]string, len(figures)) // SVG texts for the page
	if want(HTML) {
		if err := parallel(ctx, len(figures), func(i int) error {
			var b bytes.Buffer
			err := figures[i].Chart.Write(&b, plot.SVG)
			drawn[i] = b.String()
			return err
		}); err != nil {
			return err
		}
	}
	for _, t := range r.EveryTable() {
		base := filepath.Join(under("tables", t.Definition), t.Name)
		if want(CSV) {
			add(base+".csv", t.WriteCSV)
		}
		if want(LaTeX) {
			add(base+".tex", t.WriteLaTeX)
		}
	}
	for i, f := range figures {
		base := filepath.Join(under("figures", f.Definition), f.Name)
		if want(CSV) && f.Numbers != nil {
			add(base+".csv", f.Numbers.WriteCSV)
		}
		for _, format := range []Format{SVG, PNG, PDF} {
			switch {
			case !want(format):
			case format == SVG && drawn[i] != "":
				add(base+".svg", func(w io.Writer) error { _, err := io.WriteString(w, drawn[i]); return err })
			default:
				add(base+"."+string(format), func(w io.Writer) error { return f.Chart.Write(w, plot.Format(format)) })
			}
		}
	}
	if want(Markdown) {
		add("report.md", r.WriteMarkdown)
	}
	if want(JSON) {
		add("report.json", r.WriteJSON)
	}
	if want(HTML) {
		add("report.html", func(w io.Writer) error { return r.writeHTML(w, figures, drawn) })
	}
	folders := make(map[string]bool)
	for _, j := range jobs {
		folders[filepath.Dir(j.path)] = true
	}
	for _, f := range sortedKeys(folders) {
		if err := os.MkdirAll(f, 0o755); err != nil { //nolint:gosec // a report is meant to be read by others
			return fmt.Errorf("folder for the report: %w", err)
		}
	}
	return parallel(ctx, len(jobs), func(i int) error { return jobs[i].run() })
}

type job struct {
	path  string
	write func(io.Writer) error
}

// run writes a file beside its place and moves it there, so that a report is
// never seen half written.
func (j job) run() (err error) {
	f, err := os.CreateTemp(filepath.Dir(j.path), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", j.path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", j.path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if err := j.write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), j.path)
}

// parallel calls do for 0 … n−1 with all CPUs and returns the first error.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := range next {
				errs[i] = do(i)
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			errs[i] = ctx.Err()
		}
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes report.json.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// EveryFigure returns the figures that [Report.WriteDir] writes, in its order.
func (r *Report) EveryFigure() []*Figure {
	var out []*Figure
	for _, d := range r.order {
		out = append(out, r.Figures(d)...)
	}
	return append(out, r.statisticsFigures()...)
}

// EveryTable returns the tables that [Report.WriteDir] writes, in its order.
func (r *Report) EveryTable() []*Table {
	var out []*Table
	for _, d := range r.order {
		out = append(out, r.Tables(d)...)
	}
	out = append(out, r.SummaryTables()...)
	return append(out, r.statisticsTables()...)
}

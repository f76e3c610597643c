package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"mlgym/experiment"
	"mlgym/internal/board"
)

// show is what a person sees of a running experiment: a picture on a terminal,
// lines elsewhere, events as JSON for machines.
type show struct {
	a     *app
	o     *experimentOptions
	lines *board.Lines
	live  *board.Live
	log   *slog.Logger
	tty   *os.File
}

func (a *app) newShow(o *experimentOptions) *show {
	s := &show{a: a, o: o, log: a.log}
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !o.quiet {
		s.tty = f
	} else if !o.quiet && !o.asJSON {
		s.lines = board.NewLines(a.err)
	}
	return s
}

// event shows one event.
func (s *show) event(e experiment.Event) {
	if s.o.asJSON {
		_ = board.WriteJSON(s.a.out, e) // nobody reads it any more; the run goes on
	}
	if s.lines != nil {
		_ = s.lines.Event(e)
	}
}

// begin shows the picture from now on.
func (s *show) begin(snapshot func() experiment.Status) {
	if s.tty == nil {
		return
	}
	s.live = board.NewLive(s.tty, os.Getenv("NO_COLOR") == "", snapshot)
	if s.a.verbose {
		s.log = slog.New(slog.NewTextHandler(s.live, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// end leaves the last picture.
func (s *show) end() {
	if s.live != nil {
		s.live.Close()
	}
}

// printPlan says what is going to be run.
func (a *app) printPlan(o *experimentOptions, w io.Writer, file *experiment.File, dir string, p *experiment.Plan, v experiment.Overview) error {
	if o.asJSON {
		return a.printJSON(struct {
			Dir string `json:"dir"`
			experiment.Overview
			Notes []string `json:"notes"`
		}{dir, v, p.Notes})
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	line("experiment", "%s", dir)
	line("episodes", "%d (%s)", v.Total, v.Grid)
	line("to run", "%d: %d new, %d that were cut", v.New+v.Begun, v.New, v.Begun)
	line("done before", "%d, and %d given up", v.Done, v.Failed)
	if v.Skipped > 0 {
		line("skipped", "%d", v.Skipped)
	}
	if v.Unplanned > 0 {
		line("left out", "%d episodes of an earlier grid, or of what has changed since; they stay in %s", v.Unplanned, experiment.CellsName)
	}
	line("worst cost", "%s", v.WorstText())
	if b := file.Budget.String(); b != "" {
		line("budget", "%s", b)
	}
	for _, note := range p.Notes {
		line("note", "%s", note)
	}
	fmt.Fprintln(w)
	return nil
}

// printEnd says how a part of an experiment ended.
func (a *app) printEnd(st experiment.Status, why, dir string) {
	w := a.out
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	line("episodes", "%d of %d done, %d failed, %d waiting, %d skipped", st.Done, st.Total, st.Failed, st.Waiting+st.Running, st.Skipped)
	cost := fmt.Sprintf("$%.4f", st.Spent.USD)
	if st.Spent.Unpriced > 0 {
		cost += fmt.Sprintf(" and what %d episodes of unknown price cost", st.Spent.Unpriced)
	}
	line("spent", "%s, %d tokens, %s", cost, st.Spent.Tokens, time.Duration(st.Spent.Hours*float64(time.Hour)).Round(time.Second))
	if why != "" {
		line("stopped", "%s", why)
	}
	shown := 0
	for _, e := range st.Episodes {
		if e.State == experiment.Failed && shown < 5 {
			line("failed", "%s: %s", e.Name, clip(strings.Join(strings.Fields(e.Message), " "), 160))
			shown++
		}
	}
	if st.Waiting+st.Running > 0 {
		line("go on", "mlgym experiment resume %s", dir)
	}
	if st.Failed > 0 {
		line("try again", "mlgym experiment retry %s --only failed", dir)
	}
	if st.Done > 0 {
		line("report", "mlgym experiment report %s", dir)
	}
}

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"mlgym/gym"
	"mlgym/rollout"
)

// progress tells on standard error how an episode goes: one line that is
// written over on a terminal, a line for each step elsewhere.
type progress struct {
	w     io.Writer
	live  bool
	quiet bool
	width func() int
	shown bool
}

func (a *app) newProgress(o *runOptions) *progress {
	p := &progress{w: a.err, quiet: o.quiet || o.Agent == "human", width: func() int { return 80 }}
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.live = true
		p.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return p
}

// event shows one event of the episode.
func (p *progress) event(e rollout.Event) {
	if p.quiet {
		return
	}
	switch e.Phase {
	case rollout.Stepped:
		p.line(p.describe(e, ""), true)
	case rollout.Resetting:
		p.line("making the sandbox ...", false)
	case rollout.Replaying:
		p.line(fmt.Sprintf("repeating step %d of the record ...", e.Step), false)
	case rollout.Thinking:
		p.line(p.describe(e, "thinking"), false)
	case rollout.Acting:
		p.line(p.describe(e, "running"), false)
	case rollout.Finishing:
		p.line("grading what is in the workspace ...", false)
	case rollout.Ended, rollout.CutShort:
	}
}

// line shows a text; lasting ones stay, the others only live on a terminal.
func (p *progress) line(text string, lasting bool) {
	if !p.live {
		if lasting {
			fmt.Fprintln(p.w, text)
		}
		return
	}
	text = clip(text, p.width()-1)
	end := ""
	if lasting {
		end = "\n"
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s%s", text, end)
	p.shown = !lasting
}

// end leaves the terminal with a clean line.
func (p *progress) end() {
	if p.live && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) describe(e rollout.Event, doing string) string {
	step := fmt.Sprintf("step %d", e.Step)
	if e.MaxSteps > 0 {
		step = fmt.Sprintf("step %d/%d", e.Step, e.MaxSteps)
	}
	parts := []string{step, seconds(e.Totals.Seconds).Round(100 * time.Millisecond).String()}
	if e.Totals.Requests > 0 {
		cost := "cost ?"
		if e.Totals.CostUSD != nil {
			cost = fmt.Sprintf("$%.3f", *e.Totals.CostUSD)
		}
		parts = append(parts, cost)
	}
	if e.Last != nil {
		parts = append(parts, lastScore(*e.Last))
	}
	if doing != "" {
		parts = append(parts, doing)
	}
	if text := actionLine(e.Action); text != "" && doing != "thinking" {
		parts = append(parts, text)
	}
	return strings.Join(parts, "  ")
}

func lastScore(e gym.Evaluation) string {
	if e.Problem != gym.Scored {
		return fmt.Sprintf("%s: %s", e.Kind, e.Problem)
	}
	for name, value := range e.Scores {
		if len(e.Scores) == 1 {
			return fmt.Sprintf("%s %.4g", name, value)
		}
	}
	return scoresLine(e.Scores, "")
}

// actionLine is the first line of an action, marked where there is more.
func actionLine(a gym.Action) string {
	text := a.Command
	if a.Tool != "" {
		text = a.Tool + " " + string(a.Args)
	}
	text = strings.TrimSpace(text)
	first, rest, more := strings.Cut(text, "\n")
	if more {
		first += fmt.Sprintf(" … (+%d lines)", strings.Count(rest, "\n")+1)
	}
	return "$ " + clip(first, 100)
}

func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(most-1, 0)]) + "…"
}

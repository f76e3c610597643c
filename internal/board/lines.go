package board

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"mlgym/experiment"
)

// summaryEvery is how much time lies between two lines about steps, at least.
const summaryEvery = 30 * time.Second

// Lines writes events as lines of text, for logs and pipes:
//
//	TIME EVENT [EPISODE] KEY=VALUE ...
//
// The time is that of the event, in UTC to the second. An event has the keys
// that it has values for, always in the same order; values with spaces, quotes
// or an equals sign are quoted as in Go. Steps are summed up in one line in 30 seconds at
// most; every other event has its line. A Lines may be used by several
// goroutines.
type Lines struct {
	mu      sync.Mutex
	w       io.Writer
	summary time.Time
	steps   int
	running map[string]bool
}

// NewLines writes to w, each line with one Write.
func NewLines(w io.Writer) *Lines { return &Lines{w: w, running: map[string]bool{}} }

// Event writes what is to be said of the event, if anything. The error is that
// of the writer.
func (l *Lines) Event(e experiment.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fields{}
	switch e.Type {
	case experiment.Stepped:
		l.running[e.Episode] = true
		l.steps++
		if l.summary.IsZero() {
			l.summary = e.At
		}
		passed := e.At.Sub(l.summary)
		if passed < summaryEvery {
			return nil
		}
		text.add("steps", strconv.Itoa(l.steps))
		text.add("in", duration(passed.Seconds()))
		text.add("episodes", strconv.Itoa(len(l.running)))
		text.add("last", plain(e.Episode))
		text.add("step", steps(e))
		l.summary, l.steps = e.At, 0
		clear(l.running)
		e.Episode = ""
	case experiment.Started:
		l.begin(e.At)
		text.add("attempt", nonzero(e.Attempt))
		text.add("message", plain(e.Message))
	case experiment.Evaluated:
		text.add("step", steps(e))
		text.scored(e)
		text.add("message", plain(e.Message))
	case experiment.Ended:
		text.add("state", string(e.State))
		text.add("exit", plain(e.ExitStatus))
		text.add("step", nonzero(e.Step))
		text.scored(e)
		text.spent(e)
		text.add("message", plain(e.Message))
		text.counts(e)
	default: // planned, retrying, cut, stopping, stopped, noted, and what is yet to come
		text.add("attempt", nonzero(e.Attempt))
		text.add("step", steps(e))
		if e.Score != nil {
			text.scored(e)
		}
		text.spent(e)
		if e.Wait > 0 {
			text.add("wait", duration(e.Wait))
		}
		text.add("message", plain(e.Message))
		text.counts(e)
	}
	words := []string{e.At.UTC().Format(time.RFC3339), plain(string(e.Type))}
	if e.Episode != "" {
		words = append(words, quoted(plain(e.Episode)))
	}
	_, err := io.WriteString(l.w, strings.Join(append(words, text...), " ")+"\n")
	return err
}

// begin lets the time of the first summary run from the first episode.
func (l *Lines) begin(at time.Time) {
	if l.summary.IsZero() {
		l.summary = at
	}
}

// fields are key=value; those without a value are left out.
type fields []string

func (f *fields) add(key, value string) {
	if value != "" {
		*f = append(*f, key+"="+quoted(value))
	}
}

func (f *fields) scored(e experiment.Event) {
	f.add("metric", plain(e.Metric))
	f.add("score", scoreOr(e.Score, "none"))
}

func (f *fields) spent(e experiment.Event) {
	if e.CostUSD != nil {
		f.add("cost", usd(*e.CostUSD))
	}
	if e.Seconds > 0 {
		f.add("time", duration(e.Seconds))
	}
}

func (f *fields) counts(e experiment.Event) {
	if c := e.Counts; c != nil {
		f.add("done", fmt.Sprintf("%d/%d", c.Done, c.Total))
		f.add("running", nonzero(c.Running))
		f.add("waiting", nonzero(c.Waiting))
		f.add("failed", nonzero(c.Failed))
		f.add("skipped", nonzero(c.Skipped))
	}
	if e.Spent != nil {
		f.add("spent", usd(e.Spent.USD))
	}
}

func steps(e experiment.Event) string {
	if e.MaxSteps > 0 {
		return fmt.Sprintf("%d/%d", e.Step, e.MaxSteps)
	}
	return nonzero(e.Step)
}

func nonzero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// quoted quotes a value where a reader would not see its end.
func quoted(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '=' }) {
		return strconv.Quote(value)
	}
	return value
}

// WriteJSON writes the event as a line of JSON, with one Write. A score or cost
// that is not a number is an error.
func WriteJSON(w io.Writer, e experiment.Event) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("write the event %q of %q as JSON: %w", e.Type, e.Episode, err)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

package trajectory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"mlgym/agent"
	"mlgym/gym"
)

// RenderOptions choose how a transcript looks.
type RenderOptions struct {
	// Width of the lines, in characters; 0 means 100. Text of agents and
	// programs is not wrapped.
	Width int
	// MaxLines bounds each text (thought, action, observation); head and tail
	// are kept. 0 means 40; a negative number means no bound.
	MaxLines int
	// Color writes ANSI colours.
	Color bool
	// Exchanges shows the requests to models and their answers too.
	Exchanges bool
}

// Render writes a record as a transcript for people. A record that is cut
// anywhere is rendered as far as it goes, with a remark; the error is then
// that of the reader, or of w.
func Render(w io.Writer, r *Reader, opts RenderOptions) error {
	if opts.Width <= 0 {
		opts.Width = 100
	}
	if opts.MaxLines == 0 {
		opts.MaxLines = 40
	}
	out := &renderer{w: bufio.NewWriter(w), opts: opts, sum: newSummariser()}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			out.line(red, "The record cannot be read further: "+err.Error())
			return errors.Join(err, out.w.Flush())
		}
		out.sum.add(&e)
		out.event(&e)
	}
	out.closing(out.sum.done(r.Torn()))
	return out.w.Flush()
}

// color is an ANSI colour.
type color string

const (
	plain  color = ""
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	blue   color = "34"
)

type renderer struct {
	w    *bufio.Writer // remembers its first error until Flush
	opts RenderOptions
	sum  *summariser
}

func (o *renderer) event(e *Event) {
	switch e.Type {
	case TypeHeader:
		o.line(bold, "Run "+visible(e.Header.RunID)+", begun "+e.Header.Created.UTC().Format(time.RFC3339))
	case TypeReset:
		o.rule(bold, fmt.Sprintf("reset, seed %d", e.Reset.Seed), duration(e.Reset.Seconds))
		o.text(plain, "  ", e.Reset.Observation.Text)
	case TypeTurn:
		o.turn(e.Turn)
	case TypeStep:
		o.transition(e.Step.Transition)
	case TypeNote:
		o.line(dim, "note: "+visible(e.Note.Text))
	case TypeFault:
		o.rule(red, "fault ("+string(e.Fault.Source)+")", "")
		o.text(red, "  ", e.Fault.Message)
	case TypeResume:
		o.rule(yellow, resumed(e.Resume), duration(e.Resume.Seconds))
		for _, d := range e.Resume.Differences {
			o.text(yellow, "  ", d.String())
		}
	case TypeEnd:
		o.end(e.End)
	}
}

func (o *renderer) turn(t *Turn) {
	requests := NewTotals()
	requests.AddExchanges(t.Turn.Exchanges)
	right := duration(t.Seconds)
	if requests.Requests > 0 {
		right = fmt.Sprintf("%s, %d in, %d out, %s", right, requests.TokensIn, requests.TokensOut, cost(requests.CostUSD))
	}
	o.rule(bold, fmt.Sprintf("step %d", t.Step), right)
	if o.opts.Exchanges {
		for i := range t.Turn.Exchanges {
			o.exchange(&t.Turn.Exchanges[i])
		}
	}
	if t.Turn.Thought != "" {
		o.text(dim, "  ", t.Turn.Thought)
	}
	if t.Turn.Stop != "" {
		reason := string(t.Turn.Stop)
		if t.Turn.StopReason != "" {
			reason += ": " + t.Turn.StopReason
		}
		o.text(yellow, "  ", "the agent stops: "+reason)
		return
	}
	o.action(t.Turn.Action)
}

func (o *renderer) exchange(x *agent.Exchange) {
	for _, m := range x.Messages {
		o.text(dim, "  | ", string(m.Role)+": "+m.Text)
	}
	if x.Response != nil {
		o.text(dim, "  < ", x.Response.Message.Text)
		for _, call := range x.Response.Message.ToolCalls {
			o.text(dim, "  < ", call.Name+" "+string(call.Args))
		}
	}
	for _, problem := range []string{x.Problem, x.Error} {
		if problem != "" {
			o.text(yellow, "  ! ", problem)
		}
	}
}

func (o *renderer) action(a gym.Action) {
	switch {
	case a.Tool != "":
		o.text(blue, "> ", a.Tool+" "+indented(a.Args))
	case a.Command != "":
		o.text(blue, "$ ", a.Command)
	default:
		o.line(blue, "(nothing)")
	}
}

func indented(raw json.RawMessage) string {
	var text map[string]any
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	pretty, err := json.MarshalIndent(text, "", "  ")
	if err != nil {
		return string(raw)
	}
	return string(pretty)
}

func (o *renderer) transition(t gym.Transition) {
	o.text(plain, "  ", t.Observation.Text)
	var facts []string
	if t.Info.ExitCode != 0 {
		facts = append(facts, fmt.Sprintf("exit code %d", t.Info.ExitCode))
	}
	if t.Info.Deadline != "" {
		facts = append(facts, "cut by the "+t.Info.Deadline+" deadline")
	}
	if t.Info.ShellRestarted {
		facts = append(facts, "shell restarted")
	}
	if t.Info.Seconds >= 1 {
		facts = append(facts, duration(t.Info.Seconds))
	}
	if len(facts) > 0 {
		o.line(dim, "  ["+strings.Join(facts, ", ")+"]")
	}
	if t.Info.Fault != "" {
		o.text(red, "  ", "fault: "+t.Info.Fault)
	}
	for _, e := range t.Info.Evaluations {
		o.evaluation(e)
	}
	if t.Reward != 0 {
		o.line(green, fmt.Sprintf("  reward %.6g", t.Reward))
	}
}

func (o *renderer) evaluation(e gym.Evaluation) {
	if e.Problem != gym.Scored {
		o.text(red, "  ", fmt.Sprintf("%s: no score (%s) %s", e.Kind, e.Problem, e.Message))
		return
	}
	o.line(green, fmt.Sprintf("  %s: %s", e.Kind, visible(FormatScores(e.Scores))))
}

func (o *renderer) end(e *End) {
	o.rule(bold, "end: "+e.ExitStatus.String(), "")
	if e.Reason != "" {
		o.text(dim, "  ", e.Reason)
	}
	if e.Transition != nil {
		o.transition(*e.Transition)
	}
}

// closing writes what can be said of the record as a whole.
func (o *renderer) closing(s Summary) {
	if s.Header.Format == "" && s.TornBytes == 0 {
		o.line(yellow, "The record is empty.")
		return
	}
	if s.TornBytes > 0 {
		o.line(yellow, fmt.Sprintf("The last line is torn (%d bytes): the process was killed while writing it, or is still writing.", s.TornBytes))
	}
	if s.End == nil {
		o.line(yellow, "The record has no end: the run goes on, or was cut and can be resumed.")
	}
	t := s.Totals
	o.rule(bold, "", "")
	o.line(plain, fmt.Sprintf("%d steps, %s, %d requests, %d tokens in, %d out, cost %s, reward %.6g",
		t.Steps, duration(t.Seconds), t.Requests, t.TokensIn, t.TokensOut, cost(t.CostUSD), t.Reward))
	for _, e := range s.Evaluations {
		if e.Problem != gym.Scored {
			o.line(plain, fmt.Sprintf("step %d, %s: no score (%s)", e.Step, e.Kind, e.Problem))
			continue
		}
		o.line(plain, fmt.Sprintf("step %d, %s: %s", e.Step, e.Kind, visible(FormatScores(e.Scores))))
	}
}

// rule writes a heading that fills the width.
func (o *renderer) rule(c color, left, right string) {
	head := "──"
	if left != "" {
		head += " " + left + " "
	}
	tail := ""
	if right != "" {
		tail = " " + right + " ──"
	}
	fill := max(2, o.opts.Width-utf8.RuneCountInString(head)-utf8.RuneCountInString(tail))
	o.line(c, head+strings.Repeat("─", fill)+tail)
}

// text writes bounded text, each line behind a prefix.
func (o *renderer) text(c color, prefix, text string) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	limit := o.opts.MaxLines
	skipFrom, skipTo := len(lines), len(lines)
	if limit > 0 && len(lines) > limit {
		skipFrom = (limit + 1) / 2
		skipTo = len(lines) - limit/2
	}
	for i := 0; i < len(lines); i++ {
		if i == skipFrom && skipTo > skipFrom {
			o.line(dim, fmt.Sprintf("%s… %d lines …", prefix, skipTo-skipFrom))
			i = skipTo
			if i >= len(lines) {
				break
			}
		}
		o.line(c, prefix+o.bounded(visible(lines[i])))
	}
}

// maxLineChars bounds a line where texts are bounded at all.
const maxLineChars = 2000

func (o *renderer) bounded(line string) string {
	if o.opts.MaxLines < 0 || len(line) <= maxLineChars {
		return line
	}
	return fmt.Sprintf("%s … %d bytes more", strings.ToValidUTF8(line[:maxLineChars], ""), len(line)-maxLineChars)
}

func (o *renderer) line(c color, text string) {
	if o.opts.Color && c != plain {
		text = "\x1b[" + string(c) + "m" + text + "\x1b[0m"
	}
	_, _ = o.w.WriteString(text)
	_ = o.w.WriteByte('\n')
}

// visible makes control characters visible, so that what a program printed
// cannot steer the terminal of whoever reads the transcript.
func visible(text string) string {
	control := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f || c >= 0x80 && c < 0xa0 }
	if !strings.ContainsFunc(text, control) {
		return text
	}
	var out strings.Builder
	for _, c := range text {
		if control(c) {
			fmt.Fprintf(&out, `\x%02x`, c)
			continue
		}
		out.WriteRune(c)
	}
	return out.String()
}

func duration(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

func cost(usd *float64) string {
	if usd == nil {
		return "unknown"
	}
	return fmt.Sprintf("$%.4f", *usd)
}

// resumed says how an episode went on.
func resumed(r *Resume) string {
	if r.Checkpoint > 0 {
		return fmt.Sprintf("resumed from the checkpoint of step %d, %d steps executed once more", r.Checkpoint, r.Steps)
	}
	return fmt.Sprintf("resumed, %d steps executed once more", r.Steps)
}

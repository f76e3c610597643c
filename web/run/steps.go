package run

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/web/markup"
	"mlgym/web/record"
)

const (
	// firstSteps and firstBytes bound what the first answer holds of the steps.
	firstSteps = 50
	firstBytes = 90 << 10
	// maxFragment bounds the steps that are sent at once.
	maxFragment = 100
	// batch is how many steps are read from the record at once.
	batch = 8
)

// Bounds of the folded view of the texts of a step.
const (
	thoughtLines, thoughtBytes         = 60, 6000
	actionLines, actionBytes           = 60, 5000
	observationLines, observationBytes = 30, 4000
	statementLines, statementBytes     = 60, 5000
	eventLines, eventBytes             = 12, 2000
)

// wholeBytes bounds a text that is sent in one part, and partBytes each part of a
// longer one.
const (
	wholeBytes = 256 << 10
	partBytes  = 128 << 10
)

// pill is a short remark.
type pill struct{ Class, Text, Title string }

// passage is a text of a step, folded.
type passage struct {
	Key  record.Key
	Step int
	// Part is "thought", "action" or "observation".
	Part string
	Head template.HTML
	Tail template.HTML
	// What lies between them.
	Hidden                  bool
	HiddenLines, HiddenSize int
	From, To                int
	// Markdown says that the text is made of blocks, and not preformatted.
	Markdown bool
	// Numbers are those of the lines of an edit; Edit describes it.
	Edit    string
	Numbers string
}

// stepView is what the template shows of a step.
type stepView struct {
	Key   record.Key
	Total int
	record.Step
	Page  string // the page that the step is on
	Class string // of its group
	Pills []pill
	// Scores of its evaluations.
	Scores                       []scoreView
	Statement                    *passage
	ThoughtText, Act, Output     *passage
	Notes                        []noteView
	Images                       []imageView
	Files                        bool
	Prompt                       bool
	Cost, HasReward              bool
	Unreadable, WholePath, State string
}

// scoreView is an evaluation.
type scoreView struct {
	Number      int
	Step        int
	Kind        string
	Final, Best bool
	Score       *float64
	Metric      string
	// Against the baseline: "good", "bad", or "" where that cannot be said.
	Class   string
	Delta   string
	Others  []named
	Problem string
	Message string
	Seconds float64
}

type named struct {
	Name  string
	Value float64
}

// noteView is what happened between two steps.
type noteView struct {
	Kind, Class string
	Text        template.HTML
	Cut         bool
	record.Event
}

type imageView struct {
	Name, Path    string
	Width, Height int
}

// reader makes views of the steps of one run.
type reader struct {
	p      *Pages
	run    *record.Run
	key    record.Key
	header record.Header
	total  int
}

func (p *Pages) reader(run *record.Run) *reader {
	return &reader{p: p, run: run, key: run.Entry().Key, header: run.Header(), total: run.Len()}
}

// steps calls yield for each of n steps from a number on, until it returns false. A step
// that cannot be read is shown as such: the others can be.
func (rd *reader) steps(ctx context.Context, from, n int, yield func(*stepView) bool) error {
	for end := min(from+n, rd.total+1); from < end; {
		list, err := rd.run.Steps(ctx, from, min(batch, end-from))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || len(list) == 0 {
			if !yield(rd.unreadable(ctx, from, err)) {
				return nil
			}
			from++
			continue
		}
		for i := range list {
			if !yield(rd.view(ctx, &list[i])) {
				return nil
			}
		}
		from += len(list)
	}
	return nil
}

// unreadable is a step whose neighbours kept it from being read, or that cannot be read.
func (rd *reader) unreadable(ctx context.Context, n int, why error) *stepView {
	step, err := rd.run.Step(ctx, n)
	if err == nil {
		return rd.view(ctx, &step)
	}
	if why == nil {
		why = err
	}
	v := &stepView{Key: rd.key, Total: rd.total, Page: rd.p.pageOf(rd.key, n), Unreadable: why.Error()}
	v.Number = n
	v.Unreadable = markup.Visible(v.Unreadable)
	if brief := rd.run.Briefs(n, 1); len(brief) == 1 {
		v.Brief = brief[0]
		v.Class = groupClass(v.Group)
	}
	return v
}

func (rd *reader) view(ctx context.Context, s *record.Step) *stepView {
	v := &stepView{
		Key: rd.key, Total: rd.total, Step: *s, Page: rd.p.pageOf(rd.key, s.Number), Class: groupClass(s.Group),
		Prompt: s.Number > 0 && (s.Requests > 0 || rd.run.Published()),
		Cost:   s.CostUSD != nil || s.TokensIn+s.TokensOut > 0, HasReward: s.Reward != nil && *s.Reward != 0,
	}
	for _, e := range s.Before {
		v.Notes = append(v.Notes, newNote(e))
	}
	for i := range s.Evaluations {
		v.Scores = append(v.Scores, rd.score(&s.Evaluations[i]))
	}
	v.Fault, v.StopReason = markup.Visible(s.Fault), markup.Visible(s.StopReason)
	v.Pills = pills(s)
	if s.Number == 0 {
		v.Statement = rd.passage(s, "observation")
		return v
	}
	v.State = wentTo(s.Was, s.Is)
	v.ThoughtText = rd.passage(s, "thought")
	v.Act = rd.passage(s, "action")
	v.Output = rd.passage(s, "observation")
	if len(s.Evaluations) > 0 {
		rd.handedIn(ctx, v)
	}
	return v
}

// wentTo says where the editor and the shell went.
func wentTo(was, is record.Place) string {
	var out []string
	if is.WorkingDir != was.WorkingDir && is.WorkingDir != "" {
		out = append(out, "in "+markup.Visible(is.WorkingDir))
	}
	if is.OpenFile != was.OpenFile && is.OpenFile != "" {
		out = append(out, "opened "+markup.Visible(is.OpenFile))
	}
	return strings.Join(out, ", ")
}

// pills are the remarks on a step.
func pills(s *record.Step) []pill {
	var out []pill
	if s.Pending {
		out = append(out, pill{"now", "running", "Decided on; its outcome is not recorded yet"})
	}
	if s.ExitCode != nil && *s.ExitCode != 0 {
		out = append(out, pill{"bad", "exit " + strconv.Itoa(*s.ExitCode), "Exit code of the action"})
	}
	for _, m := range s.Marks {
		switch m {
		case record.MarkNote, record.MarkResume:
			continue // stand above the step in full
		case record.MarkTimeout:
			title := "A deadline cut the action short"
			switch s.Deadline {
			case "wall":
				title = "The action ran longer than it may"
			case "idle":
				title = "The action printed nothing for longer than it may"
			}
			out = append(out, pill{"bad", m, title})
		case record.MarkTruncated:
			out = append(out, pill{"warn", m, fmt.Sprintf("The agent was not shown all of the output, which had %d bytes", s.OutputBytes)})
		case record.MarkFormat:
			out = append(out, pill{"warn", m, "An answer of the model could not be read, and it was asked again"})
		case record.MarkUnexecuted:
			if !s.Pending {
				out = append(out, pill{"warn", m, "The action was decided on and never executed"})
			}
		default:
			out = append(out, pill{"bad", m, markTitles[m]})
		}
	}
	return out
}

var markTitles = map[string]string{
	record.MarkModel:     "A request to the model failed",
	record.MarkCancelled: "The action was interrupted",
	record.MarkShell:     "The shell had to be replaced by a fresh one",
	record.MarkFault:     "The infrastructure failed",
	record.MarkStop:      "The agent decided to stop",
}

var noteClasses = map[string]string{record.EventFault: "bad", record.EventResume: "warn", record.EventEnd: "", record.EventNote: ""}

func newNote(e record.Event) noteView {
	f := markup.Fold(e.Text, eventLines, eventBytes)
	text := markup.Plain(f.Head)
	if !f.Whole {
		text += template.HTML("\n…\n") + markup.Plain(f.Tail) //nolint:gosec // a constant
	}
	return noteView{Kind: e.Kind, Class: noteClasses[e.Kind], Text: text, Cut: e.Cut, Event: e}
}

// score compares an evaluation with the baseline.
func (rd *reader) score(e *record.Evaluation) scoreView {
	v := scoreView{
		Number: e.Number, Step: e.Step, Kind: markup.Visible(string(e.Kind)), Final: e.Final, Best: e.Best, Score: e.Score, Metric: rd.header.Metric,
		Problem: markup.Visible(string(e.Problem)), Seconds: e.Seconds,
	}
	if e.Problem != gym.Scored || e.Score == nil {
		v.Message = markup.Visible(e.Message)
	}
	v.Class, v.Delta = against(e.Score, rd.header.BaselineScore, rd.header.Direction)
	for _, name := range sortedNames(e.Scores) {
		if name != rd.header.Metric || e.Score == nil {
			v.Others = append(v.Others, named{markup.Visible(name), e.Scores[name]})
		}
	}
	return v
}

// against says how a score stands to the baseline.
func against(score, baseline *float64, d runstore.Direction) (class, delta string) {
	if score == nil || baseline == nil || !finite(*score) || !finite(*baseline) {
		return "", ""
	}
	diff := *score - *baseline
	if !finite(diff) {
		return "", ""
	}
	delta = strconv.FormatFloat(diff, 'g', 3, 64)
	if diff > 0 {
		delta = "+" + delta
	}
	delta = strings.Replace(delta, "-", "−", 1)
	switch {
	case diff == 0:
		return "", "±0"
	case d == "":
		return "", delta
	case d.Better(*score, *baseline):
		return "good", delta
	default:
		return "bad", delta
	}
}

// passage folds a text of a step.
func (rd *reader) passage(s *record.Step, part string) *passage {
	t := &passage{Key: rd.key, Step: s.Number, Part: part}
	text := textOf(s, part)
	if text == "" {
		return nil
	}
	switch {
	case part == "action":
		rd.action(s, t)
		return t
	case part == "observation" && s.Number > 0:
		f := markup.Fold(text, observationLines, observationBytes)
		t.Head, t.Tail = markup.Terminal(f.Head), markup.Terminal(f.Tail)
		t.fold(f, len(text))
		return t
	case part == "observation":
		rd.markdown(t, text, statementLines, statementBytes)
	default:
		rd.markdown(t, text, thoughtLines, thoughtBytes)
	}
	return t
}

// markdown shows the beginning of a text: the end of one says something else than it
// does behind the rest.
func (rd *reader) markdown(t *passage, text string, lines, size int) {
	t.Markdown = true
	lines, size = rd.most(lines, size)
	f := markup.Fold(text, 2*lines, 2*size)
	t.Head = markup.Markdown(f.Head)
	if !f.Whole {
		f.Tail, f.HiddenBytes = "", len(text)-len(f.Head)
		f.HiddenLines = strings.Count(text[len(f.Head):], "\n")
		t.fold(f, len(text))
	}
}

// most is how much is shown of the texts of an agent. An export has nobody to ask for
// the rest.
func (rd *reader) most(lines, size int) (int, int) {
	if rd.p.site.Static() {
		return wholeBytes, wholeBytes
	}
	return lines, size
}

func (t *passage) fold(f markup.Folded, size int) {
	if f.Whole {
		return
	}
	t.Hidden, t.HiddenLines, t.HiddenSize = true, f.HiddenLines, f.HiddenBytes
	t.From, t.To = len(f.Head), size-len(f.Tail)
}

func textOf(s *record.Step, part string) string {
	switch part {
	case "thought":
		return s.Thought
	case "action":
		return s.Action
	default:
		return s.Observation
	}
}

// action shows what the agent did: an edit as the lines that it brings, the rest as
// program text.
func (rd *reader) action(s *record.Step, t *passage) {
	if s.Tool != "" {
		rd.call(s, t)
		return
	}
	if kind, first, last, body, ok := markup.EditBody(s.Action); ok && alone(s.Action, kind, body) {
		rd.edit(t, kind, first, last, body, s.Was.OpenFile)
		return
	}
	f := markup.Fold(rd.whole(s.Action))
	t.Head, t.Tail = markup.Shell(f.Head), markup.Shell(f.Tail)
	t.fold(f, len(s.Action))
}

// whole are the arguments with which an action is folded.
func (rd *reader) whole(text string) (string, int, int) {
	lines, size := rd.most(actionLines, actionBytes)
	return text, lines, size
}

// alone reports whether an action is that edit and nothing more: its first and its last
// line are the command's.
func alone(action, kind, body string) bool {
	action = strings.TrimSpace(action)
	first, rest, _ := strings.Cut(action, "\n")
	return strings.HasPrefix(first, kind+" ") && !strings.ContainsAny(first, ";&|") && strings.HasPrefix(rest, body) &&
		strings.TrimSpace(rest[len(body):]) == "end_of_"+kind
}

// call shows a typed call of a tool.
func (rd *reader) call(s *record.Step, t *passage) {
	var args struct {
		Start int     `json:"start_line"`
		End   int     `json:"end_line"`
		After int     `json:"line"`
		Text  *string `json:"text"`
	}
	if err := json.Unmarshal([]byte(s.Args), &args); err == nil && args.Text != nil {
		switch s.Tool {
		case "edit":
			rd.edit(t, "edit", args.Start, args.End, *args.Text, s.Was.OpenFile)
			return
		case "insert":
			rd.edit(t, "insert", args.After+1, args.After, *args.Text, s.Was.OpenFile)
			return
		}
	}
	t.Edit = markup.Visible(s.Tool)
	f := markup.Fold(rd.whole(s.Args))
	t.Head, t.Tail = markup.Code(f.Head, "json"), markup.Code(f.Tail, "json")
	t.fold(f, len(s.Args))
}

// edit shows new lines with their numbers.
func (rd *reader) edit(t *passage, kind string, first, last int, body, file string) {
	switch {
	case kind == "insert":
		t.Edit = fmt.Sprintf("insert after line %d", last)
	case body == "":
		t.Edit = fmt.Sprintf("delete lines %d to %d", first, last)
	case first == last:
		t.Edit = fmt.Sprintf("replace line %d", first)
	default:
		t.Edit = fmt.Sprintf("replace lines %d to %d", first, last)
	}
	if file != "" {
		t.Edit += " of " + markup.Visible(file)
	}
	// The numbers go on from the beginning; the rest is a link away.
	lines, size := rd.most(actionLines, actionBytes)
	f := markup.Fold(body, 2*lines, 2*size)
	if !f.Whole {
		t.Hidden, t.HiddenLines, t.HiddenSize = true, f.HiddenLines+strings.Count(f.Tail, "\n"), f.HiddenBytes+len(f.Tail)
	}
	t.Head = markup.Code(f.Head, file)
	t.Numbers = numbers(first, f.Head)
}

// numbers are those of the lines of a text, one a line.
func numbers(first int, text string) string {
	if text == "" {
		return ""
	}
	var out strings.Builder
	for i := range strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1 {
		out.WriteString(strconv.Itoa(first+i) + "\n")
	}
	return out.String()
}

// fragment answers with some steps, for the script of the page.
func (p *Pages) fragment(w http.ResponseWriter, r *http.Request, run *record.Run) {
	q := r.URL.Query()
	from, err := strconv.Atoi(q.Get("from"))
	n, err2 := strconv.Atoi(q.Get("n"))
	if err != nil || err2 != nil || from < 0 || n < 1 {
		http.Error(w, "from and n are numbers of steps: fragment?from=1&n=25", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	err = p.reader(run).steps(r.Context(), from, min(n, maxFragment), func(v *stepView) bool {
		text, err := p.room.Text("step", v)
		if err != nil {
			p.site.Log().Error("a step could not be shown", "step", v.Number, "error", err)
			return true
		}
		_, err = io.WriteString(w, text)
		return err == nil
	})
	if err != nil && r.Context().Err() == nil {
		p.site.Log().Error("steps could not be shown", "error", err)
	}
}

// partView is a part of a long text.
type partView struct {
	Key          record.Key
	Step         int
	Part         string
	HTML         template.HTML
	Markdown     bool
	From, To     int
	Left         int
	Whole        bool
	NotAllNotice string
}

// text answers with a part of a long text.
func (p *Pages) text(w http.ResponseWriter, r *http.Request, run *record.Run) {
	q := r.URL.Query()
	n, err := strconv.Atoi(q.Get("step"))
	part := q.Get("part")
	if err != nil || (part != "thought" && part != "action" && part != "observation") {
		http.Error(w, "name a step and a part: text?step=1&part=observation&from=0&to=1000", http.StatusBadRequest)
		return
	}
	step, err := run.Step(r.Context(), n)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	text := textOf(&step, part)
	v := partView{Key: run.Entry().Key, Step: n, Part: part}
	from, err := strconv.Atoi(q.Get("from"))
	to, err2 := strconv.Atoi(q.Get("to"))
	if err != nil || err2 != nil || to > len(text) || from < 0 || from > to {
		from, to = 0, len(text)
	}
	switch {
	case part == "thought", part == "observation" && n == 0:
		v.Markdown = true
		body := text
		if len(body) > wholeBytes {
			body = body[:cut(body, wholeBytes)]
			v.NotAllNotice = "This is the beginning of a longer text."
		}
		v.HTML = markup.Markdown(body)
	case part == "action":
		body := text
		if len(body) > wholeBytes {
			body = body[:cut(body, wholeBytes)]
			v.NotAllNotice = "This is the beginning of a longer text."
		}
		if step.Tool != "" {
			v.HTML = markup.Code(body, "json")
		} else {
			v.HTML = markup.Shell(body)
		}
	default:
		end := to
		if to-from > partBytes {
			end = from + cut(text[from:to], partBytes)
		}
		v.HTML = markup.Terminal(text[from:end])
		v.From, v.To, v.Left = end, to, to-end
	}
	p.room.Fragment(w, r, "part", v)
}

// cut is where a text is best cut at or before a place: after a line, else between
// characters.
func cut(text string, at int) int {
	if at >= len(text) {
		return len(text)
	}
	if i := strings.LastIndexByte(text[:at], '\n'); i >= at/2 {
		return i + 1
	}
	for i := at; i > at-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(text[i]) {
			return i
		}
	}
	return at
}

// whole answers with a text of a step as it is.
func (p *Pages) whole(part string) func(http.ResponseWriter, *http.Request, *record.Run) {
	return func(w http.ResponseWriter, r *http.Request, run *record.Run) {
		name, ok := strings.CutSuffix(r.PathValue("file"), ".txt")
		n, err := strconv.Atoi(name)
		if !ok || err != nil || n < 0 {
			p.room.Error(w, r, http.StatusNotFound, "runs", "Texts of steps are named like 12.txt.")
			return
		}
		step, err := run.Step(r.Context(), n)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		asText(w)
		_, _ = io.WriteString(w, textOf(&step, part)) // a client that is gone
	}
}

// asText makes an answer that no browser takes for anything else than text.
func asText(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-cache")
}

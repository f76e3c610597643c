package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/trajectory"
)

// line is an event of a record, as far as the index of a run needs it: of its long
// texts only how long they are.
type line struct {
	Seq  int64           `json:"seq"`
	Type trajectory.Type `json:"type"`
	At   time.Time       `json:"at"`

	Header *trajectory.Header `json:"header"`
	Reset  *trajectory.Reset  `json:"reset"`
	Turn   *turnLine          `json:"turn"`
	Step   *stepLine          `json:"step"`
	Note   *trajectory.Note   `json:"note"`
	Fault  *faultLine         `json:"fault"`
	Resume *resumeLine        `json:"resume"`
	End    *endEvent          `json:"end"`
}

type turnLine struct {
	Step int `json:"step"`
	Turn struct {
		Action     gym.Action     `json:"action"`
		Thought    measure        `json:"thought"`
		Stop       gym.Cause      `json:"stop"`
		StopReason string         `json:"stop_reason"`
		Exchanges  []exchangeLine `json:"exchanges"`
	} `json:"turn"`
	Seconds float64 `json:"seconds"`
}

type stepLine struct {
	Step       int            `json:"step"`
	Action     gym.Action     `json:"action"`
	Transition transitionLine `json:"transition"`
}

type transitionLine struct {
	Observation struct {
		Text       measure `json:"text"`
		OpenFile   string  `json:"open_file"`
		WorkingDir string  `json:"working_dir"`
	} `json:"observation"`
	Reward float64  `json:"reward"`
	Info   gym.Info `json:"info"`
}

type faultLine struct {
	Step      int               `json:"step"`
	Source    trajectory.Source `json:"source"`
	Message   string            `json:"message"`
	Resumable bool              `json:"resumable"`
	Resuming  bool              `json:"resuming"`
	Exchanges []exchangeLine    `json:"exchanges"`
}

type resumeLine struct {
	Checkpoint  int                     `json:"checkpoint"`
	Steps       int                     `json:"steps"`
	Differences []trajectory.Difference `json:"differences"`
	Seconds     float64                 `json:"seconds"`
}

// endEvent is the end of an episode.
type endEvent struct {
	ExitStatus gym.ExitStatus  `json:"exit_status"`
	Cause      gym.Cause       `json:"cause"`
	Reason     string          `json:"reason"`
	Transition *transitionLine `json:"transition"`
	Final      *gym.Evaluation `json:"final"`
}

type exchangeLine struct {
	Messages []struct{} `json:"messages"`
	History  int        `json:"history_length"`
	Response *struct {
		Usage   model.Usage `json:"usage"`
		CostUSD *float64    `json:"cost_usd"`
	} `json:"response"`
	Problem string `json:"problem"`
	Error   string `json:"error"`
}

// exchanges are as [trajectory.Totals] counts them.
func exchanges(list []exchangeLine) []agent.Exchange {
	out := make([]agent.Exchange, len(list))
	for i, x := range list {
		if x.Response != nil {
			out[i].Response = &model.Response{Usage: x.Response.Usage, CostUSD: x.Response.CostUSD}
		}
	}
	return out
}

// decode reads one line of a record. The error is for people.
func decode(raw []byte) (*line, error) {
	var e line
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("not an event: %w", err)
	}
	var kind trajectory.Type
	count := 0
	for _, body := range []struct {
		set  bool
		kind trajectory.Type
	}{
		{e.Header != nil, trajectory.TypeHeader},
		{e.Reset != nil, trajectory.TypeReset},
		{e.Turn != nil, trajectory.TypeTurn},
		{e.Step != nil, trajectory.TypeStep},
		{e.Note != nil, trajectory.TypeNote},
		{e.Fault != nil, trajectory.TypeFault},
		{e.Resume != nil, trajectory.TypeResume},
		{e.End != nil, trajectory.TypeEnd},
	} {
		if body.set {
			kind = body.kind
			count++
		}
	}
	switch {
	case count != 1:
		return nil, fmt.Errorf("an event of type %q has %d bodies, want 1", e.Type, count)
	case kind != e.Type:
		return nil, fmt.Errorf("an event of type %q has the body of type %q", e.Type, kind)
	}
	return &e, nil
}

// checkHeader refuses what is no header of a record that is known here.
func checkHeader(e *line) error {
	switch {
	case e.Header == nil || e.Header.Format != trajectory.Format:
		return fmt.Errorf("this is not a record: the first line is no header of format %q", trajectory.Format)
	case e.Header.Version > trajectory.Version:
		return &trajectory.VersionError{Version: e.Header.Version}
	case e.Header.Version < trajectory.Version:
		return fmt.Errorf("the record has version %d of its format and this needs version %d", e.Header.Version, trajectory.Version)
	}
	return nil
}

// measure is how long a text is, without the text.
type measure struct{ bytes, lines int32 }

// UnmarshalJSON implements [json.Unmarshaler].
func (m *measure) UnmarshalJSON(raw []byte) error {
	*m = measure{}
	if len(raw) < 2 || raw[0] != '"' {
		if string(raw) == "null" {
			return nil
		}
		return fmt.Errorf("a %.20s where a text should stand", raw)
	}
	if !utf8.Valid(raw) { // what is invalid is replaced
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		m.bytes, m.lines = size32(len(text)), size32(lineCount(text))
		return nil
	}
	size, lines, feed := measureText(raw[1 : len(raw)-1])
	if size > 0 && !feed {
		lines++
	}
	m.bytes, m.lines = size32(size), size32(lines)
	return nil
}

// measureText counts bytes and line feeds of what stands between the quotes of a
// JSON string, and says whether it ends with one.
func measureText(raw []byte) (size, lines int, feed bool) {
	for len(raw) > 0 {
		at := bytes.IndexByte(raw, '\\')
		if at != 0 {
			feed = false
		}
		if at < 0 || at+1 >= len(raw) {
			return size + len(raw), lines, feed
		}
		size += at
		raw = raw[at:]
		feed = raw[1] == 'n'
		switch raw[1] {
		case 'n':
			lines++
			size++
			raw = raw[2:]
		case 'u':
			r, n := unicodeEscape(raw)
			if feed = r == '\n'; feed {
				lines++
			}
			size += utf8.RuneLen(r)
			raw = raw[n:]
		default:
			size++
			raw = raw[2:]
		}
	}
	return size, lines, feed
}

// unicodeEscape reads the escape sequence that raw begins with, or the pair of
// them that stands for one sign.
func unicodeEscape(raw []byte) (rune, int) {
	first := hex4(raw)
	if !utf16.IsSurrogate(first) {
		return first, min(6, len(raw))
	}
	if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
		if r := utf16.DecodeRune(first, hex4(raw[6:])); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, min(6, len(raw))
}

func hex4(raw []byte) rune {
	if len(raw) < 6 {
		return utf8.RuneError
	}
	x, err := strconv.ParseUint(string(raw[2:6]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(x) //nolint:gosec // four digits
}

// turn takes in a decision.
func (s *state) turn(e *line, where span) error {
	t := e.Turn
	// A turn that is decided anew, after a cut, replaces the one before.
	if n := len(s.steps); n > 1 && s.steps[n-1].has&hasStep == 0 && t.Step == n-1 {
		old := &s.steps[n-1]
		s.memory -= int64(len(old.head))
		*old = stepIndex{extra: old.extra, marks: old.marks & (markNote | markFault | markResume)}
		if old.extra != nil {
			old.extra.stop = ""
		}
	} else if t.Step != n {
		return fmt.Errorf("a turn for step %d follows step %d", t.Step, n-1)
	} else {
		s.steps = append(s.steps, stepIndex{})
	}
	st := &s.steps[len(s.steps)-1]
	s.take(st)
	st.turn, st.has, st.think, st.at, st.thought = where, st.has|hasTurn, t.Seconds, nanos(e.At), t.Turn.Thought.bytes
	s.act(st, t.Turn.Action)
	if t.Turn.Stop != "" {
		st.marks |= markStop
		st.more().stop = t.Turn.Stop
		st.group = groupOf([]byte(t.Turn.Stop))
		st.head = headOf(string(t.Turn.Stop) + " " + t.Turn.StopReason)
	}
	st.links = size32(len(s.chain))
	s.exchanged(t.Turn.Exchanges, where)
	st.linksEnd = size32(len(s.chain))
	if len(t.Turn.Exchanges) == 0 {
		return nil
	}
	sum := trajectory.NewTotals()
	sum.AddExchanges(exchanges(t.Turn.Exchanges))
	st.tokensIn, st.tokensOut, st.cost, st.has = sum.TokensIn, sum.TokensOut, math.NaN(), st.has|hasCost
	if sum.CostUSD != nil {
		st.cost = *sum.CostUSD
	}
	for _, x := range t.Turn.Exchanges {
		// What is imported has the sum of all requests in place of one.
		if x.Problem != "" && x.History > 0 {
			st.marks |= markFormat
		}
		if x.Error != "" {
			st.marks |= markModel
		}
	}
	return nil
}

// exchanged takes in requests to a model.
func (s *state) exchanged(list []exchangeLine, where span) {
	s.totals.AddExchanges(exchanges(list))
	for i, x := range list {
		s.chain = append(s.chain, link{turn: where, part: size32(i), history: size32(x.History), fresh: size32(len(x.Messages))})
	}
}

// act takes in an action.
func (s *state) act(st *stepIndex, a gym.Action) {
	text := actionText(a)
	s.memory -= int64(len(st.head))
	st.head, st.action, st.group = headOf(text), size32(len(text)), groupOf([]byte(text))
	s.memory += int64(len(st.head))
}

// actionText is an action as one text, as reports count it: shell text, or the
// tool and its arguments.
func actionText(a gym.Action) string {
	if a.Tool == "" {
		return a.Command
	}
	return a.Tool + " " + string(a.Args)
}

// step takes in an executed action.
func (s *state) step(e *line, where span) error {
	n := len(s.steps)
	if n > 1 && e.Step.Step == n-1 && s.steps[n-1].has&hasStep == 0 {
		n--
	} else if e.Step.Step != n {
		return fmt.Errorf("step %d follows step %d", e.Step.Step, n-1)
	} else {
		s.steps = append(s.steps, stepIndex{})
	}
	st := &s.steps[n]
	s.take(st)
	tr := &e.Step.Transition
	info := &tr.Info
	if st.has&hasTurn == 0 || st.action == 0 {
		s.act(st, e.Step.Action)
	}
	st.done, st.has, st.at = where, st.has|hasStep|hasExit|hasReward, nanos(e.At)
	st.seconds, st.reward, st.exit = info.Seconds, tr.Reward, int32(max(math.MinInt32, min(info.ExitCode, math.MaxInt32))) //nolint:gosec // bounded
	st.observation, st.lines = tr.Observation.Text.bytes, tr.Observation.Text.lines
	st.place = s.place(Place{tr.Observation.OpenFile, tr.Observation.WorkingDir})
	if info.Deadline != "" {
		st.more().deadline = info.Deadline
		if info.Deadline == "cancelled" {
			st.marks |= markCancelled
		} else {
			st.marks |= markTimeout
		}
	}
	if info.OutputBytes > int64(st.observation) {
		st.marks |= markTruncated
	}
	if info.ShellRestarted {
		st.marks |= markShell
	}
	if info.Fault != "" {
		st.marks |= markFault
		st.more().fault, _ = shorten(info.Fault, maxEventText)
	}
	if len(info.Evaluations) > 0 {
		x := st.more()
		x.from, x.to = s.addEvaluations(info.Evaluations)
	}
	s.totals.Steps++
	s.totals.Reward += tr.Reward
	return nil
}

// add takes in an event of a record of ours.
func (s *state) add(e *line, where span) error {
	switch e.Type {
	case trajectory.TypeHeader:
		s.header.Software = e.Header.Software
		if s.header.ID == "" {
			s.header.ID = e.Header.RunID
		}
		s.started, s.begin = e.At, e.At
	case trajectory.TypeReset:
		if s.totals.Steps > 0 {
			return fmt.Errorf("a reset after %d steps", s.totals.Steps)
		}
		s.reset(e, where)
	case trajectory.TypeTurn:
		if err := s.turn(e, where); err != nil {
			return err
		}
	case trajectory.TypeStep:
		if err := s.step(e, where); err != nil {
			return err
		}
	case trajectory.TypeNote:
		s.notes++
		s.happened(Event{Kind: EventNote, Text: e.Note.Text, At: e.At, where: where})
		return nil // may be written long after
	case trajectory.TypeFault:
		f := e.Fault
		message, _ := shorten(f.Message, maxEventText)
		s.fault = &Fault{Step: f.Step, Source: string(f.Source), Message: message, Resumable: f.Resumable, At: e.At}
		s.faults++
		s.exchanged(f.Exchanges, where)
		s.happened(Event{Kind: EventFault, Text: faultText(string(f.Source), f.Message, f.Resumable), At: e.At, where: where})
		if f.Resuming {
			return nil
		}
	case trajectory.TypeResume:
		s.before += seconds(s.begin, s.last)
		s.begin = e.At
		s.resumes++
		s.reopen()
		s.happened(Event{Kind: EventResume, Text: e.Resume.text(), At: e.At, where: where})
	case trajectory.TypeEnd:
		s.ended(e, where)
	}
	s.last = e.At
	return nil
}

// reopen says that the episode goes on.
func (s *state) reopen() {
	s.end, s.fault = nil, nil
	for i := range s.evaluations {
		s.evaluations[i].Final = false
	}
}

func (s *state) reset(e *line, where span) {
	o := &e.Reset.Observation
	first := &s.steps[0]
	s.memory -= int64(len(first.head))
	*first = stepIndex{
		done: where, head: headOf(o.Text), at: nanos(e.At), seconds: e.Reset.Seconds,
		observation: size32(len(o.Text)), lines: size32(lineCount(o.Text)),
		place: s.place(Place{o.OpenFile, o.WorkingDir}), has: hasStep,
	}
	s.memory += int64(len(first.head))
	s.seed, s.hasReset = e.Reset.Seed, true
	s.reopen()
	s.begin = e.At.Add(-time.Duration(e.Reset.Seconds * float64(time.Second)))
}

func (s *state) ended(e *line, where span) {
	s.end = e.End
	if tr := e.End.Transition; tr != nil {
		s.totals.Reward += tr.Reward
		s.addEvaluations(tr.Info.Evaluations)
	}
	s.final(e.End.Final)
	s.happened(Event{Kind: EventEnd, Text: endText(e.End.ExitStatus.String(), e.End.Reason, ""), At: e.At, where: where})
}

// final marks the evaluation that counts.
func (s *state) final(final *gym.Evaluation) {
	if final == nil {
		return
	}
	for i := len(s.evaluations) - 1; i >= 0; i-- {
		e := &s.evaluations[i]
		if e.Kind == final.Kind && e.Step == final.Step && e.At.Equal(final.At) {
			e.Final = true
			return
		}
	}
	from, _ := s.addEvaluations([]gym.Evaluation{*final})
	s.evaluations[from].Final = true
}

func endText(status, reason, observation string) string {
	text := status
	if reason != "" {
		text += ": " + reason
	}
	if observation != "" {
		text += "\n" + observation
	}
	return text
}

func faultText(source, message string, resumable bool) string {
	text := source + ": " + message
	if !resumable {
		text += " (the run cannot be resumed)"
	}
	return text
}

func (l *resumeLine) text() string {
	text := fmt.Sprintf("resumed from the start; %d recorded actions were executed once more, in %.1f s", l.Steps, l.Seconds)
	if l.Checkpoint > 0 {
		text = fmt.Sprintf("resumed from the state after step %d; %d recorded actions were executed once more, in %.1f s", l.Checkpoint, l.Steps, l.Seconds)
	}
	if n := len(l.Differences); n > 0 {
		text += fmt.Sprintf("; %d differences from the record", n)
	}
	lines := []string{text}
	for _, d := range l.Differences[:min(len(l.Differences), 20)] {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

// seconds between two events; 0 where the clock was set back.
func seconds(from, to time.Time) float64 {
	return max(0, to.Sub(from).Seconds())
}

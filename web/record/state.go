package record

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"mlgym/gym"
	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory"
)

// state is what is known of a run's record. One goroutine at a time adds to it.
type state struct {
	mu sync.RWMutex
	// steps are the steps by number; the first is the start.
	steps []stepIndex
	// evaluations are all, in order; steps hold ranges of them.
	evaluations []Evaluation
	best        int // the best of them, −1 for none
	// chain are the requests to a model, in order, and turns where they stand.
	chain  []link
	places []Place
	placed map[Place]uint32
	// closing is what happened after the last step.
	closing []Event
	// dropped counts events that were too many to keep.
	dropped int
	header  Header // as far as it is the same at all times
	totals  trajectory.Totals
	end     *endEvent
	fault   *Fault
	resumes int
	faults  int
	notes   int
	// before holds the seconds of the parts that ended; begin and last bound
	// the current one.
	before               float64
	begin, last, started time.Time
	hasReset             bool
	seed                 uint64
	live                 search.State
	torn                 int64
	size                 int64
	modified             time.Time
	// corrupt says why the record is not read beyond a line.
	corrupt string
	// missing says why there is no record.
	missing string
	result  string // what is wrong with result.json
	// texts are those of a published run, where they are kept; statement is that of
	// its task, and status its end in MLGym's words.
	texts     []publishedStep
	statement string
	status    string
	// memory is what the above holds beside its slices.
	memory int64
}

func newState() *state {
	return &state{
		steps: make([]stepIndex, 1), best: -1, totals: trajectory.NewTotals(),
		places: []Place{{}}, placed: map[Place]uint32{{}: 0},
	}
}

// Place is where the agent's editor and shell stood.
type Place struct {
	// OpenFile is the path of the file open in the editor, "" for none.
	OpenFile string `json:"open_file,omitempty"`
	// WorkingDir is the working directory of the shell, "" where it is not known.
	WorkingDir string `json:"working_dir,omitempty"`
}

// span is where a line stands in the record.
type span struct {
	at   int64
	size int32
}

// link is a request to a model: in which turn it stands, how many messages it had,
// and how many of them at the end were new.
type link struct {
	turn           span
	part           int32
	history, fresh int32
}

const (
	stepBytes = int64(unsafe.Sizeof(stepIndex{}))
	linkBytes = int64(unsafe.Sizeof(link{}))
)

// stepIndex is what is kept of a step.
type stepIndex struct {
	turn, done span
	head       string
	at         int64 // nanoseconds, 0 for unknown
	seconds    float64
	think      float64
	cost       float64 // NaN for unknown
	reward     float64
	tokensIn   int64
	tokensOut  int64

	thought, action, observation, lines int32

	links, linksEnd int32
	exit            int32
	place           uint32 // where the agent stood after it
	marks           marks
	group           report.Group
	has             has
	extra           *stepExtra
}

// stepExtra is what few steps have.
type stepExtra struct {
	from, to int // evaluations
	before   []Event
	stop     gym.Cause
	deadline string
	fault    string
}

// has says what of a step there is.
type has uint8

const (
	hasTurn has = 1 << iota
	hasStep
	hasExit
	hasReward
	hasCost
)

// marks are what stands out of a step.
type marks uint16

const (
	markFormat marks = 1 << iota
	markModel
	markTimeout
	markCancelled
	markTruncated
	markShell
	markFault
	markResume
	markNote
	markStop
)

// The marks of steps, as [Brief].Marks has them.
const (
	// MarkFormat: an answer of the model could not be read.
	MarkFormat = "format error"
	// MarkModel: a request to the model failed.
	MarkModel = "model error"
	// MarkTimeout: a deadline cut the action short.
	MarkTimeout = "timeout"
	// MarkCancelled: the action was interrupted.
	MarkCancelled = "cancelled"
	// MarkTruncated: the agent was not shown all of the output.
	MarkTruncated = "truncated"
	// MarkShell: the shell had to be replaced.
	MarkShell = "shell restarted"
	// MarkFault: the infrastructure failed, at or before the step.
	MarkFault = "fault"
	// MarkResume: the run was resumed before the step.
	MarkResume = "resume"
	// MarkNote: somebody noted something before the step.
	MarkNote = "note"
	// MarkStop: the agent decided to stop.
	MarkStop = "stop"
	// MarkUnexecuted: the action was decided on and never executed.
	MarkUnexecuted = "not executed"
)

var markNames = []string{
	MarkFormat, MarkModel, MarkTimeout, MarkCancelled, MarkTruncated, MarkShell, MarkFault, MarkResume, MarkNote, MarkStop,
}

func (m marks) names() []string {
	var out []string
	for i, name := range markNames {
		if m&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// Kinds of [Event].
const (
	EventNote   = "note"
	EventFault  = "fault"
	EventResume = "resume"
	EventEnd    = "end"
)

// Event is something that happened between steps.
type Event struct {
	// Kind is one of the Event… constants.
	Kind string `json:"kind"`
	// Text says what happened. In lists it is cut to 2,000 bytes; Cut says so.
	Text string `json:"text"`
	Cut  bool   `json:"cut,omitempty"`
	// At is zero where it is not known.
	At time.Time `json:"at,omitzero"`

	where span
}

const (
	maxEventText  = 2000
	maxStepEvents = 100
)

// Evaluation is a grading of the agent's work.
type Evaluation struct {
	// Number counts the evaluations of the run from 1.
	Number int `json:"number"`
	gym.Evaluation
	// Score is that of the run's metric; nil where there is none, or it is no finite
	// number.
	Score *float64 `json:"score"`
	// Best says that it was better than all before it.
	Best bool `json:"best"`
	// Final says that it is the evaluation that counts.
	Final bool `json:"final"`
}

// addEvaluations takes evaluations in and returns their range.
func (s *state) addEvaluations(list []gym.Evaluation) (from, to int) {
	from = len(s.evaluations)
	for _, ev := range list {
		if text, cut := shorten(ev.Message, maxEventText); cut {
			ev.Message = text + "…"
		}
		e := Evaluation{Number: len(s.evaluations) + 1, Evaluation: ev}
		e.Score = scoreOf(ev.Scores, s.header.Metric)
		if e.Score != nil && ev.Problem == gym.Scored {
			if s.best < 0 || s.header.Direction.Better(*e.Score, *s.evaluations[s.best].Score) {
				e.Best, s.best = true, len(s.evaluations)
			}
		}
		s.evaluations = append(s.evaluations, e)
		s.memory += int64(unsafe.Sizeof(e)) + int64(len(ev.Message)) + 64*int64(len(ev.Scores)+len(ev.Details))
	}
	return from, len(s.evaluations)
}

func scoreOf(s gym.Scores, metric string) *float64 {
	x, ok := s[metric]
	if !ok {
		return nil
	}
	return finite(x)
}

// finite leaves out what is no number that can be compared.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// place returns the number of a place.
func (s *state) place(p Place) uint32 {
	if n, ok := s.placed[p]; ok {
		return n
	}
	if len(s.places) >= 1<<16 {
		return 0 // nobody needs so many
	}
	n := uint32(len(s.places)) //nolint:gosec // bounded above
	s.places = append(s.places, p)
	s.placed[p] = n
	s.memory += 2 * int64(len(p.OpenFile)+len(p.WorkingDir)+64)
	return n
}

// happened adds an event after the last step.
func (s *state) happened(e Event) {
	if len(s.closing) >= maxStepEvents { // those in the middle say least
		s.closing = slices.Delete(s.closing, maxStepEvents/2, maxStepEvents/2+1)
		s.dropped++
	}
	e.Text, e.Cut = shorten(e.Text, maxEventText)
	s.closing = append(s.closing, e)
	s.memory += int64(unsafe.Sizeof(e)) + int64(len(e.Text))
}

// take hands the events since the last step to the next one.
func (s *state) take(st *stepIndex) {
	if len(s.closing) == 0 {
		return
	}
	x := st.more()
	for _, e := range s.closing {
		switch e.Kind {
		case EventNote:
			st.marks |= markNote
		case EventFault:
			st.marks |= markFault
		case EventResume:
			st.marks |= markResume
		}
	}
	x.before = append(x.before, s.closing...)
	s.closing = nil
}

// more returns what few steps have.
func (st *stepIndex) more() *stepExtra {
	if st.extra == nil {
		st.extra = &stepExtra{}
	}
	return st.extra
}

// shorten cuts a text to at most n bytes, between signs, without holding the rest.
func shorten(text string, n int) (string, bool) {
	if len(text) <= n {
		return text, false
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n]), true
}

// headBytes is how much of the first line of an action is kept.
const headBytes = 160

// headOf is the first line of a text that is not empty.
func headOf(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			head, _ := shorten(line, headBytes)
			return strings.Clone(head)
		}
	}
	return ""
}

func lineCount(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

// size32 is a size as it is kept.
func size32(n int) int32 {
	return int32(min(n, math.MaxInt32)) //nolint:gosec // bounded
}

// Brief is what a list of steps says of one.
type Brief struct {
	// Number of the step, from 1; 0 is the start, whose observation is the task's
	// statement.
	Number int `json:"number"`
	// Group of the action, as reports count it: "Edit", "View", "Python" …; "" for the
	// start.
	Group string `json:"group,omitempty"`
	// Head is the first line of the action, cut to 160 bytes; of the start that of
	// the statement.
	Head string `json:"head"`
	// Seconds that the action took, and Think those that the agent took to decide; 0
	// where they are not known.
	Seconds float64 `json:"seconds"`
	Think   float64 `json:"think"`

	ThoughtBytes     int `json:"thought_bytes"`
	ActionBytes      int `json:"action_bytes"`
	ObservationBytes int `json:"observation_bytes"`
	ObservationLines int `json:"observation_lines"`

	// TokensIn and TokensOut of the requests for this step; 0 where they are not known.
	TokensIn  int64 `json:"tokens_in"`
	TokensOut int64 `json:"tokens_out"`
	// CostUSD is nil where no model was asked, or the price is not known.
	CostUSD *float64 `json:"cost_usd,omitempty"`
	// Requests to a model, re-asks included.
	Requests int `json:"requests"`
	// Reward and ExitCode are nil where the record does not say.
	Reward      *float64     `json:"reward,omitempty"`
	ExitCode    *int         `json:"exit_code,omitempty"`
	Evaluations []Evaluation `json:"evaluations,omitempty"`
	// Marks are what stands out, of the Mark… constants.
	Marks []string `json:"marks,omitempty"`
	// Deadline that cut the action short: "", "wall", "idle", "cancelled".
	Deadline string `json:"deadline,omitempty"`
	// Fault of the infrastructure within the step.
	Fault string `json:"fault,omitempty"`
	// Stop is set where the agent decided to stop, and nothing was executed.
	Stop gym.Cause `json:"stop,omitempty"`
	// At is when the action ended (while it is pending: when it was decided on);
	// zero where it is not known.
	At time.Time `json:"at,omitzero"`
	// Pending says that the action was decided on and its outcome is not recorded.
	Pending bool `json:"pending,omitempty"`
	// Before is what happened between the step before and this one.
	Before []Event `json:"before,omitempty"`
}

// Len returns how many steps the record has, one that is pending included; the
// start does not count.
func (r *Run) Len() int {
	s := r.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.steps) - 1
}

// Briefs returns n steps from a number on, fewer at the end. Step 0 is the start.
func (r *Run) Briefs(from, n int) []Brief {
	s := r.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	from = max(0, from)
	if from >= len(s.steps) || n <= 0 {
		return []Brief{}
	}
	to := min(len(s.steps), from+min(n, len(s.steps)))
	out := make([]Brief, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, s.brief(i))
	}
	return out
}

// Closing returns what happened after the last step: notes, faults, and the end.
func (r *Run) Closing() []Event {
	s := r.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.listed(s.closing)
}

func (s *state) brief(i int) Brief {
	st := &s.steps[i]
	b := Brief{
		Number: i, Head: st.head, Seconds: st.seconds, Think: st.think,
		ThoughtBytes: int(st.thought), ActionBytes: int(st.action), ObservationBytes: int(st.observation), ObservationLines: int(st.lines),
		TokensIn: st.tokensIn, TokensOut: st.tokensOut, Requests: int(st.linksEnd - st.links),
		Marks: st.marks.names(), At: instant(st.at),
	}
	if i > 0 {
		b.Group = st.group.String()
	}
	if st.has&hasCost != 0 && !math.IsNaN(st.cost) {
		b.CostUSD = new(st.cost)
	}
	if st.has&hasReward != 0 {
		b.Reward = new(st.reward)
	}
	if st.has&hasExit != 0 {
		b.ExitCode = new(int(st.exit))
	}
	if x := st.extra; x != nil {
		b.Evaluations = slices.Clone(s.evaluations[x.from:x.to])
		b.Before = slices.Clone(x.before)
		b.Deadline, b.Fault, b.Stop = x.deadline, x.fault, x.stop
	}
	if i > 0 && st.has&hasStep == 0 && b.Stop == "" {
		b.Pending = true
		if s.end != nil || s.live == search.Cut || s.live == search.Finished {
			b.Marks = append(b.Marks, MarkUnexecuted)
		}
	}
	return b
}

// listed are events for whoever asks.
func (s *state) listed(list []Event) []Event {
	return append([]Event{}, list...)
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Fault is a failure of the infrastructure, or an interruption.
type Fault struct {
	Step      int       `json:"step"`
	Source    string    `json:"source"`
	Message   string    `json:"message"`
	Resumable bool      `json:"resumable"`
	At        time.Time `json:"at,omitzero"`
}

// Header is what a run is and what it came to so far.
type Header struct {
	Source search.Source `json:"source"`
	ID     string        `json:"id"`

	Task        string            `json:"task"`
	TaskVersion string            `json:"task_version,omitempty"`
	TaskDigest  string            `json:"task_digest,omitempty"`
	Mode        string            `json:"mode,omitempty"`
	Variant     string            `json:"variant,omitempty"`
	Digests     map[string]string `json:"digests,omitempty"`

	Agent     string `json:"agent"`
	AgentName string `json:"agent_name,omitempty"`
	// AgentConfig is JSON as the manifest has it, "" for none.
	AgentConfig string           `json:"agent_config,omitempty"`
	Model       string           `json:"model,omitempty"`
	Scaffold    string           `json:"scaffold,omitempty"`
	Seed        uint64           `json:"seed"`
	Limits      runstore.Limits  `json:"limits"`
	Sandbox     runstore.Sandbox `json:"sandbox"`
	Host        runstore.Host    `json:"host"`
	Prices      *runstore.Prices `json:"prices,omitempty"`
	// Software that wrote the run, such as "mlgym 0.1.0".
	Software string `json:"software,omitempty"`
	// RewardKind is the reward that was paid: "improvement", "terminal", "none".
	RewardKind string `json:"reward_kind,omitempty"`

	State search.State `json:"state"`
	// ExitStatus as it is recorded, "" while there is none; Cause and Reason say more.
	ExitStatus string    `json:"exit_status,omitempty"`
	Cause      gym.Cause `json:"cause,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	// Started, Ended and Last (event) are zero where the files do not say; Modified
	// is when the youngest file changed.
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Modified time.Time `json:"modified,omitzero"`
	// Seconds of the episode, without gaps before a resumption; of a published run
	// those of its commands.
	Seconds float64 `json:"seconds"`

	// Steps that were executed (of a published run: that its record has).
	Steps        int   `json:"steps"`
	Requests     int   `json:"requests"`
	TokensIn     int64 `json:"tokens_in"`
	TokensOut    int64 `json:"tokens_out"`
	TokensCached int64 `json:"tokens_cached"`
	// CostUSD is nil where it is not known.
	CostUSD *float64 `json:"cost_usd"`
	// Reward is the sum over the episode; nil where none was recorded.
	Reward *float64 `json:"reward"`

	// Metric decides on the scores. Score is that of the final evaluation, Best the
	// best of all; nil where there is none.
	Metric        string             `json:"metric,omitempty"`
	Direction     runstore.Direction `json:"direction,omitempty"`
	Score         *float64           `json:"score"`
	Best          *float64           `json:"best"`
	Baseline      gym.Scores         `json:"baseline,omitempty"`
	BaselineScore *float64           `json:"baseline_score"`
	Evaluations   []Evaluation       `json:"evaluations"`

	// Fault is the last one, unless the run was resumed after it.
	Fault   *Fault `json:"fault,omitempty"`
	Faults  int    `json:"faults"`
	Notes   int    `json:"notes"`
	Resumes int    `json:"resumes"`
	// TornBytes is the size of a last line that is not whole (yet).
	TornBytes int64 `json:"torn_bytes"`
	// RecordBytes is the size of the record's file.
	RecordBytes int64 `json:"record_bytes"`
	// Problems say in words what is missing, torn, or broken.
	Problems []string `json:"problems,omitempty"`
}

// Header returns what the run is and what it came to.
func (r *Run) Header() Header {
	s := r.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head()
}

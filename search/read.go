package search

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/klauspost/compress/s2"

	"mlgym/gym"
	"mlgym/internal/flock"
	"mlgym/runstore"
	"mlgym/trajectory"
	"mlgym/trajectory/mlgym"
)

// maxFieldBytes is how much of one text is searched: of a longer one the
// beginning.
const maxFieldBytes = 4 << 20

// chunkBytes is how much text is handed to the writer at a time.
const chunkBytes = 1 << 20

// row is a step, ready for the index.
type row struct {
	step int
	// words of the fields.
	action, thought, observation string
	// packed are the texts themselves.
	packed []byte
}

// chunk is a part of a run on its way to the writer.
type chunk struct {
	rows  []row
	bytes int64
	// last says that the run is read; done is what is known of it then.
	last bool
	done known
}

// known is what the index holds of a run beside its texts.
type known struct {
	Run
	id        int64
	signature string
	// settled is the last step that will not change when the record goes on,
	// whole how many bytes of the record were read, and check a checksum of their
	// beginning and their end. They are 0 where the record has to be read anew.
	settled int
	whole   int64
	check   uint32
}

// source reads one run after another.
type source struct {
	options Options
	words   []byte
	folded  []byte
	packing []byte
	pending chunk
	send    func(chunk) error
}

func newSource(o Options, send func(chunk) error) *source {
	return &source{options: o, send: send}
}

// add makes a row of a step's texts and sends it on with its neighbours.
func (s *source) add(step int, action, thought, observation []byte) error {
	action, thought, observation = searched(action), searched(thought), searched(observation)
	r := row{step: step}
	for _, f := range []struct {
		text []byte
		to   *string
	}{{action, &r.action}, {thought, &r.thought}, {observation, &r.observation}} {
		s.folded = fold(append(s.folded[:0], f.text...))
		s.words, _ = appendWords(append(s.words[:0], everyStep+" "...), s.folded)
		*f.to = string(s.words)
	}
	s.packing = binary.AppendUvarint(s.packing[:0], uint64(len(action)))
	s.packing = binary.AppendUvarint(s.packing, uint64(len(thought)))
	s.packing = append(append(append(s.packing, action...), thought...), observation...)
	r.packed = s2.Encode(nil, s.packing)
	s.pending.rows = append(s.pending.rows, r)
	s.pending.bytes += int64(len(s.packing))
	if s.pending.bytes < chunkBytes {
		return nil
	}
	return s.flush(false, known{})
}

func (s *source) flush(last bool, done known) error {
	c := s.pending
	c.last, c.done = last, done
	s.pending = chunk{}
	if cap(s.folded) > maxFieldBytes/2 { // one huge text must not stay for ever
		s.folded, s.words, s.packing = nil, nil, nil
	}
	return s.send(c)
}

// searched is what of a text is searched: its beginning, without what steers
// terminals, which would stick to words.
func searched(text []byte) []byte {
	if bytes.IndexByte(text, 0x1b) >= 0 {
		text = []byte(ansi.Strip(string(text)))
	}
	if len(text) <= maxFieldBytes {
		return text
	}
	return bytes.ToValidUTF8(text[:maxFieldBytes], nil)
}

// unpacked are the texts of a row.
type unpacked struct{ action, thought, observation []byte }

// maxPackedBytes is the most that the texts of a step can have.
const maxPackedBytes = 3*maxFieldBytes + 2*binary.MaxVarintLen64

// unpack takes the texts of a row apart, which lie in room, or in the larger room
// that is returned.
func unpack(packed, room []byte) (unpacked, []byte, error) {
	size, err := s2.DecodedLen(packed)
	if err == nil && size > maxPackedBytes {
		err = fmt.Errorf("a text of %d bytes", size)
	}
	if err == nil {
		room, err = s2.Decode(room[:cap(room)], packed)
	}
	if err != nil {
		return unpacked{}, room, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	rest := room
	var sizes [2]int
	for i := range sizes {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > maxFieldBytes {
			return unpacked{}, room, fmt.Errorf("%w: a text is too short", ErrDamaged)
		}
		sizes[i], rest = int(size), rest[n:] //nolint:gosec // bounded above
	}
	if len(rest) < sizes[0]+sizes[1] {
		return unpacked{}, room, fmt.Errorf("%w: a text is too short", ErrDamaged)
	}
	thought := rest[sizes[0]:]
	return unpacked{rest[:sizes[0]], thought[:sizes[1]], thought[sizes[1]:]}, room, nil
}

// read reads a run and sends its steps after keep; with 0 all of them, that of
// the start included.
func (s *source) read(ctx context.Context, at place, keep int) error {
	s.pending = chunk{}
	var done known
	if at.name != nil {
		done = s.readPublished(ctx, at)
	} else {
		done = s.readOurs(ctx, at, keep)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done.Path, done.signature = at.path, at.signature
	done.Modified = instant(at.modified)
	return s.flush(true, done)
}

// keeps returns the step up to which the rows of a run can stay when its record
// only grew; 0 where all have to be made again.
func (k *known) keeps(at place) int {
	if k.whole == 0 || at.record.size < k.whole || at.name != nil {
		return 0
	}
	check, err := checksum(filepath.Join(at.path, runstore.TrajectoryName), k.whole)
	if err != nil || check != k.check {
		return 0
	}
	return k.settled
}

// checksum tells apart records that were written over: of the beginning and
// of the end of the first bytes of a file.
func checksum(path string, whole int64) (uint32, error) {
	const part = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	for _, from := range []int64{0, max(0, whole-part)} {
		if _, err := io.Copy(sum, io.NewSectionReader(f, from, min(part, whole))); err != nil {
			return 0, err
		}
	}
	return sum.Sum32(), nil
}

// readOurs reads a run of ours.
func (s *source) readOurs(ctx context.Context, at place, keep int) known {
	k := known{}
	k.Source = Ours
	manifest, err := runstore.ReadManifest(at.path)
	if err != nil {
		k.State, k.Reason = Broken, err.Error()
		return k
	}
	summary, err := s.readRecord(ctx, at, keep, &k)
	k.describe(manifest, runstore.NewResult(at.path, manifest, summary))
	switch {
	case err != nil:
		k.State, k.Reason = Broken, err.Error()
	case summary.End != nil:
		k.State = Finished
		k.ExitStatus = summary.End.ExitStatus.String()
		k.Ended = summary.Last
	default:
		k.State = liveness(at.path)
	}
	if k.State == Broken && at.result {
		// The result may still be whole.
		if result, err := runstore.Summarise(at.path); err == nil {
			steps := k.Steps
			k.describe(manifest, result)
			k.Steps = max(k.Steps, steps)
			k.ExitStatus = result.ExitStatus.String()
		}
	}
	return k
}

// liveness tells a run without an end that somebody writes from one that was cut.
func liveness(dir string) State {
	if held, err := flock.Held(filepath.Join(dir, runstore.LockName)); err == nil && held {
		return Running
	}
	return Cut
}

// readRecord reads the record of a run of ours and sends its steps, from the one
// after keep on.
func (s *source) readRecord(ctx context.Context, at place, keep int, k *known) (trajectory.Summary, error) {
	path := filepath.Join(at.path, runstore.TrajectoryName)
	none := trajectory.Summary{Totals: trajectory.NewTotals()}
	if at.record == (fileState{}) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return none, nil // it was cut before it had one
		}
		return none, fmt.Errorf("%s cannot be read: it is no regular file, or not ours to read", runstore.TrajectoryName)
	}
	f, err := os.Open(path)
	if err != nil {
		return none, fmt.Errorf("%s: %s", runstore.TrajectoryName, reason(err))
	}
	defer f.Close()
	counted := &counter{r: f}
	steps := &stepReader{add: func(st *ownStep) error {
		if keep > 0 && st.step <= keep || st.step > maxStep {
			return nil
		}
		return s.add(st.step, []byte(st.action), []byte(st.thought), []byte(st.observation))
	}}
	reader := trajectory.NewReader(counted)
	summary, err := trajectory.SummariseEach(reader, func(e *trajectory.Event) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return steps.event(e)
	})
	k.settled = steps.settled
	if flushErr := steps.flush(); err == nil {
		err = flushErr
	}
	if corrupt, ok := errors.AsType[*trajectory.CorruptError](err); ok {
		err = fmt.Errorf("%s:%d: %s", runstore.TrajectoryName, corrupt.Line, corrupt.Reason)
	}
	if err != nil {
		k.settled = 0
		return summary, err
	}
	k.whole = counted.n - reader.Torn()
	if k.check, err = checksum(path, k.whole); err != nil {
		k.whole, k.settled = 0, 0 // it will be read anew
	}
	return summary, nil
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ownStep are the texts of a step of ours.
type ownStep struct {
	step                         int
	action, thought, observation string
}

// stepReader puts steps together from the events of a record.
type stepReader struct {
	add     func(*ownStep) error
	current *ownStep
	settled int
}

func (r *stepReader) event(e *trajectory.Event) error {
	switch e.Type {
	case trajectory.TypeReset:
		if err := r.at(0); err != nil {
			return err
		}
		r.current.observation = e.Reset.Observation.Text
	case trajectory.TypeTurn:
		if err := r.at(e.Turn.Step); err != nil {
			return err
		}
		// A turn that is decided anew, after a cut, replaces the one before.
		*r.current = ownStep{step: e.Turn.Step, action: actionText(e.Turn.Turn.Action), thought: e.Turn.Turn.Thought}
	case trajectory.TypeStep:
		if err := r.at(e.Step.Step); err != nil {
			return err
		}
		if r.current.action == "" {
			r.current.action = actionText(e.Step.Action)
		}
		r.current.observation = e.Step.Transition.Observation.Text
	case trajectory.TypeEnd:
		if tr := e.End.Transition; tr != nil && tr.Observation.Text != "" && r.current != nil {
			r.current.observation += "\n" + tr.Observation.Text
		}
	case trajectory.TypeHeader, trajectory.TypeNote, trajectory.TypeFault, trajectory.TypeResume:
	}
	return nil
}

// at makes a step the current one; what was before is settled then.
func (r *stepReader) at(step int) error {
	if r.current != nil && r.current.step == step {
		return nil
	}
	if r.current != nil {
		r.settled = r.current.step
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.current = &ownStep{step: step}
	return nil
}

func (r *stepReader) flush() error {
	st := r.current
	r.current = nil
	if st == nil {
		return nil
	}
	return r.add(st)
}

// actionText is an action as people would look for it: shell text, or the tool
// with the texts that it was given.
func actionText(a gym.Action) string {
	if a.Tool == "" {
		return a.Command
	}
	var args map[string]any
	if err := json.Unmarshal(a.Args, &args); err != nil {
		return a.Tool + " " + string(a.Args)
	}
	var text strings.Builder
	text.WriteString(a.Tool)
	for _, key := range slices.Sorted(maps.Keys(args)) {
		value, isText := args[key].(string)
		if !isText {
			encoded, err := json.Marshal(args[key])
			if err != nil {
				continue // it was decoded, so it can be encoded
			}
			value = string(encoded)
		}
		text.WriteString("\n" + key + ": " + value)
	}
	return text.String()
}

// describe fills in what a manifest and a result say.
func (k *known) describe(m runstore.Manifest, r runstore.Result) {
	k.ID, k.Task, k.Agent, k.AgentName, k.Model, k.Scaffold = m.RunID, m.Task, m.Agent, m.AgentName, m.Model, m.Scaffold
	k.Mode, k.Variant, k.Seed = m.Mode, m.Variant, m.Seed
	k.Metric, k.Direction = m.PrimaryMetric, m.Direction
	k.Started = m.Created
	k.Steps, k.Seconds, k.CostUSD, k.Fault = r.Steps, r.Seconds, finite(r.CostUSD), r.Fault
	k.TokensIn, k.TokensOut = r.TokensIn, r.TokensOut
	k.Score, k.Best, k.Baseline = score(r.Submission, m.PrimaryMetric), score(r.Best, m.PrimaryMetric), score(m.Baseline, m.PrimaryMetric)
}

func score(s gym.Scores, metric string) *float64 {
	x, ok := s[metric]
	if !ok {
		return nil
	}
	return finite(&x)
}

// finite leaves out what is no number that can be compared.
func finite(x *float64) *float64 {
	if x == nil || math.IsNaN(*x) || math.IsInf(*x, 0) {
		return nil
	}
	return x
}

// graded stands in MLGym's answer to a validation that succeeded.
var graded = []byte("Evaluation Score: {")

// readPublished reads one of MLGym's folders.
func (s *source) readPublished(ctx context.Context, at place) known {
	k := known{}
	k.Source = MLGym
	k.ID, k.Task, k.Model = filepath.Base(at.path), at.name.Task, at.name.Model
	k.Agent, k.Scaffold, k.Mode, k.Variant = "mlgym", at.name.Agent, "published", "mlgym-published"
	k.Seed = uint64(max(0, at.name.Run)) //nolint:gosec // not negative
	k.State = Finished
	validations := 0
	entry := mlgym.Entry{Path: at.path, Folder: k.ID, Name: *at.name}
	want := mlgym.Options{Want: mlgym.FieldObservation | mlgym.FieldThought}
	run := mlgym.ReadRun(entry, want, func(st *mlgym.Step) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		k.Seconds += st.Seconds
		k.Steps = st.Number
		if bytes.Contains(st.Observation, graded) && bytes.Contains(st.Action, []byte("validate")) {
			validations++
		}
		if st.Number > maxStep {
			return nil
		}
		return s.add(st.Number, st.Action, st.Thought, st.Observation)
	})
	k.ExitStatus = run.Trailer.ExitStatus
	if u := run.Trailer.Usage; u.HasTokens {
		k.TokensIn, k.TokensOut = tokens(u.TokensSent), tokens(u.TokensReceived)
		k.CostUSD = finite(&u.RecordedCostTotal)
	}
	var reasons []string
	for _, p := range run.Problems {
		what := filepath.Base(p.Path) + ": " + p.Note
		if p.Broken || p.Missing && !run.HasResults && !run.HasTraj {
			k.State = Broken
		}
		reasons = append(reasons, what)
	}
	k.Reason = strings.Join(reasons, "; ")
	k.scores(run, validations, s.options.Metric)
	return k
}

// tokens is a count of tokens as MLGym's files hold it.
func tokens(x float64) int64 {
	if x >= 0 && x < 1e15 {
		return int64(x)
	}
	return 0
}

// scores fills in the evaluations of one of MLGym's runs. The one that no
// validation was answered with is that of the end.
func (k *known) scores(run *mlgym.Run, validations int, metric func(string) (string, runstore.Direction)) {
	k.Direction = runstore.Maximize
	if metric != nil {
		if name, d := metric(k.Task); name != "" {
			k.Metric, k.Direction = name, d
		}
	}
	attempts := run.Results.Attempts
	for _, scores := range append(slices.Clip(attempts), run.Results.Baseline) {
		if k.Metric == "" && len(scores) > 0 {
			k.Metric = scores[0].Name
		}
	}
	get := func(s mlgym.Scores) *float64 {
		x, ok := s.Get(k.Metric)
		if !ok {
			return nil
		}
		return finite(&x)
	}
	k.Baseline = get(run.Results.Baseline)
	for i, scores := range attempts {
		x := get(scores)
		if x == nil {
			continue
		}
		if k.Best == nil || k.Direction.Better(*x, *k.Best) {
			k.Best = x
		}
		if i == len(attempts)-1 && len(attempts) == validations+1 {
			k.Score = x
		}
	}
}

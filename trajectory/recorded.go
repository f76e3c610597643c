package trajectory

import (
	"errors"
	"fmt"
	"io"
	"time"

	"mlgym/gym"
)

// Recorded is a whole record in memory, as far as it is needed to resume or
// replay it. Where only sums are wanted, [Summarise] needs less.
type Recorded struct {
	Header Header
	// Reset is nil when the run was cut before the environment was ready.
	Reset *Reset
	// Turns[i] led to Steps[i]. Messages exchanged with a model are kept.
	Turns []Turn
	Steps []Step
	// Pending is a turn that was recorded and whose step was not.
	Pending *Turn
	Summary Summary
}

// Load reads a record.
func Load(path string) (rec *Recorded, err error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return ReadRecorded(r)
}

// ReadRecorded reads the rest of a record, which must be at its beginning. An
// empty one is a record of an episode in which nothing happened yet.
func ReadRecorded(r *Reader) (*Recorded, error) {
	rec := &Recorded{}
	sum := newSummariser()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		sum.add(&e)
		if err := rec.add(&e); err != nil {
			return nil, r.corrupt("%v", err)
		}
	}
	rec.Summary = sum.done(r.Torn())
	return rec, nil
}

func (rec *Recorded) add(e *Event) error {
	switch e.Type {
	case TypeHeader:
		rec.Header = *e.Header
	case TypeReset:
		if len(rec.Steps) > 0 {
			return fmt.Errorf("a reset after %d steps", len(rec.Steps))
		}
		rec.Reset = e.Reset
	case TypeTurn:
		if e.Turn.Step != len(rec.Steps)+1 {
			return fmt.Errorf("a turn for step %d follows step %d", e.Turn.Step, len(rec.Steps))
		}
		rec.Pending = e.Turn
	case TypeStep:
		if e.Step.Step != len(rec.Steps)+1 {
			return fmt.Errorf("step %d follows step %d", e.Step.Step, len(rec.Steps))
		}
		if rec.Pending == nil {
			return fmt.Errorf("step %d has no turn", e.Step.Step)
		}
		rec.Turns = append(rec.Turns, *rec.Pending)
		rec.Steps = append(rec.Steps, *e.Step)
		rec.Pending = nil
	case TypeNote, TypeFault, TypeResume, TypeEnd:
	}
	return nil
}

// Resumable reports whether the episode can go on, and if not, why.
func (rec *Recorded) Resumable() error { return rec.Summary.Resumable() }

// LastObservation returns what the agent saw last, nil before the reset.
func (rec *Recorded) LastObservation() *gym.Observation {
	switch {
	case len(rec.Steps) > 0:
		return &rec.Steps[len(rec.Steps)-1].Transition.Observation
	case rec.Reset != nil:
		return &rec.Reset.Observation
	}
	return nil
}

// Summary is what a record says of an episode as a whole.
type Summary struct {
	Header Header
	// Seed of the episode; valid where HasReset.
	Seed     uint64
	HasReset bool
	// Evaluations in order, that of the end included.
	Evaluations []gym.Evaluation
	// Totals up to the last event.
	Totals Totals
	// End is nil while the episode has not ended.
	End *End
	// Fault is the last one, unless the episode was resumed after it.
	Fault *Fault
	// Resumes counts how often the episode was resumed.
	Resumes int
	// LastAction is the last one that an agent decided on.
	LastAction gym.Action
	// Started and Last are the times of the first and the last event.
	Started, Last time.Time
	// TornBytes is the size of the torn last line, 0 where there is none.
	TornBytes int64
}

// Resumable returns nil when the episode can go on, else why not.
func (s *Summary) Resumable() error {
	switch {
	case s.End == nil, s.End.ExitStatus.Outcome == gym.EarlyExit:
		return nil
	}
	return fmt.Errorf("the episode has ended: %s", s.End.ExitStatus)
}

// Interrupted reports whether the episode has no end: it is running, was
// interrupted, or was killed.
func (s *Summary) Interrupted() bool { return s.End == nil }

// ExitStatus returns how the episode ended; [gym.UnknownError] when it was cut
// and has not been resumed.
func (s *Summary) ExitStatus() gym.ExitStatus {
	if s.End == nil {
		return gym.ExitStatus{Outcome: gym.UnknownError}
	}
	return s.End.ExitStatus
}

// Summarise reads the rest of a record, which must be at its beginning. It
// holds one event at a time.
func Summarise(r *Reader) (Summary, error) {
	s, err := SummariseEach(r, func(*Event) error { return nil })
	if err != nil {
		return Summary{}, err
	}
	return s, nil
}

// SummariseEach is [Summarise] that also shows each event to visit, and ends
// with its first error. With an error the summary is that of the events before.
func SummariseEach(r *Reader, visit func(*Event) error) (Summary, error) {
	sum := newSummariser()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return sum.done(r.Torn()), nil
		}
		if err == nil {
			sum.add(&e)
			err = visit(&e)
		}
		if err != nil {
			return sum.done(0), err
		}
	}
}

// summariser adds up events.
type summariser struct {
	s Summary
	// before holds the seconds of the parts that ended; begin and last bound
	// the current one.
	before      float64
	begin, last time.Time
}

func newSummariser() *summariser {
	return &summariser{s: Summary{Totals: NewTotals()}}
}

func (m *summariser) add(e *Event) {
	s := &m.s
	s.Last = e.At
	s.Evaluations = append(s.Evaluations, e.Evaluations()...)
	switch e.Type {
	case TypeHeader:
		s.Header, s.Started, m.begin = *e.Header, e.At, e.At
	case TypeReset:
		s.Seed, s.HasReset = e.Reset.Seed, true
		s.End, s.Fault = nil, nil
		m.begin = e.At.Add(-time.Duration(e.Reset.Seconds * float64(time.Second)))
	case TypeTurn:
		s.Totals.AddExchanges(e.Turn.Turn.Exchanges)
		s.LastAction = e.Turn.Turn.Action
	case TypeStep:
		s.Totals.AddStep(e.Step.Transition)
	case TypeNote:
		return // may be written long after
	case TypeFault:
		s.Fault = e.Fault
		s.Totals.AddExchanges(e.Fault.Exchanges)
		if e.Fault.Resuming {
			return
		}
	case TypeResume:
		m.before += seconds(m.begin, m.last)
		m.begin = e.At
		s.Resumes++
		s.End, s.Fault = nil, nil
	case TypeEnd:
		s.End = e.End
		if e.End.Transition != nil {
			s.Totals.Reward += e.End.Transition.Reward
		}
	}
	m.last = e.At
}

func (m *summariser) done(torn int64) Summary {
	m.s.TornBytes = torn
	m.s.Totals.Seconds = m.before + seconds(m.begin, m.last)
	return m.s
}

// seconds between two events; 0 where the clock was set back.
func seconds(from, to time.Time) float64 {
	return max(0, to.Sub(from).Seconds())
}

package mlgym

import (
	"errors"
	"fmt"
	"io"
)

// Metric is one number of an evaluation.
type Metric struct {
	Name  string
	Value float64
}

// Scores are the numbers of one evaluation, in the order of the file. They may
// hold NaN and infinities.
type Scores []Metric

// Get returns the value of a metric.
func (s Scores) Get(name string) (float64, bool) {
	for _, m := range s {
		if m.Name == name {
			return m.Value, true
		}
	}
	return 0, false
}

// Results is what results.json holds.
type Results struct {
	// Attempts are the evaluations in time order. An entry without any number
	// is an empty Scores: it is an entry, though not an attempt at any metric.
	Attempts []Scores
	// Baseline is empty where the file holds none.
	Baseline Scores
	// Notes say what in the file was not as it should be.
	Notes []string
}

// ReadResults reads a results.json. The error says that the text is no JSON
// object; anything wrong within it is in the notes.
func ReadResults(r io.Reader) (Results, error) {
	s := newScanner()
	s.reset(r)
	return readResults(s)
}

func readResults(s *scanner) (Results, error) {
	var res Results
	var hasAgent, hasBaseline bool
	note := func(format string, args ...any) {
		res.Notes = append(res.Notes, fmt.Sprintf(format, args...))
	}
	err := s.object(func(key []byte) error {
		switch string(key) {
		case "agent":
			hasAgent = true
			res.Attempts = nil
			err := s.array(func(i int) error {
				scores, err := readScores(s, func(metric string) {
					note("agent[%d]: %q is not a number", i, metric)
				})
				if errors.Is(err, errShape) {
					note("agent[%d] is not an object", i)
					err = nil
				}
				res.Attempts = append(res.Attempts, scores)
				return err
			})
			if errors.Is(err, errShape) {
				note("agent is not a list")
				err = nil
			}
			return err
		case "baseline":
			hasBaseline = true
			scores, err := readScores(s, func(metric string) {
				note("baseline: %q is not a number", metric)
			})
			if errors.Is(err, errShape) {
				note("baseline is not an object")
				err = nil
			}
			res.Baseline = scores
			return err
		}
		return s.skip()
	})
	if errors.Is(err, errShape) {
		err = errors.New("the text is not an object")
	}
	if err == nil {
		err = s.done()
	}
	if err != nil {
		return Results{}, err
	}
	if !hasAgent {
		note("agent is missing")
	}
	if !hasBaseline {
		note("baseline is missing")
	}
	return res, nil
}

// readScores reads one evaluation. Of a metric that is given twice the last
// value counts, as in every JSON reader that builds a map.
func readScores(s *scanner, notNumber func(metric string)) (Scores, error) {
	var scores Scores
	err := s.object(func(key []byte) error {
		name := string(key)
		x, err := s.number()
		if errors.Is(err, errShape) {
			notNumber(name)
			return nil
		}
		if err != nil {
			return err
		}
		for i := range scores {
			if scores[i].Name == name {
				scores[i].Value = x
				return nil
			}
		}
		scores = append(scores, Metric{name, x})
		return nil
	})
	return scores, err
}

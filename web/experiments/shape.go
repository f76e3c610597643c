package experiments

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mlgym/experiment"
)

// shape is the matrix of an experiment: which episode stands where.
type shape struct {
	rows   []rowKey
	agents []string
	fields [][]int // the episodes of a field, by row*len(agents)+column
	at     []int   // the field of an episode
}

type rowKey struct{ task, variant, metric string }

func newShape(episodes []experiment.EpisodeStatus) *shape {
	s := &shape{at: make([]int, len(episodes))}
	rows, agents := map[rowKey]int{}, map[string]int{}
	for i := range episodes {
		e := &episodes[i]
		key := rowKey{e.Task, e.Variant, e.Metric}
		if _, ok := rows[key]; !ok {
			rows[key] = len(s.rows)
			s.rows = append(s.rows, key)
		}
		if _, ok := agents[e.Agent]; !ok {
			agents[e.Agent] = len(s.agents)
			s.agents = append(s.agents, e.Agent)
		}
	}
	s.fields = make([][]int, len(s.rows)*len(s.agents))
	for i := range episodes {
		e := &episodes[i]
		s.at[i] = rows[rowKey{e.Task, e.Variant, e.Metric}]*len(s.agents) + agents[e.Agent]
		s.fields[s.at[i]] = append(s.fields[s.at[i]], i)
	}
	for _, field := range s.fields {
		slices.SortStableFunc(field, func(a, b int) int {
			switch x, y := episodes[a].Seed, episodes[b].Seed; {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
	}
	return s
}

// mean sums up some episodes.
type mean struct {
	ID                  string
	Total, Done, Failed int
	Scored              int
	sum                 float64
	// Scale says that the scores are of one task, so that a mean says something: two
	// tasks whose metrics have one name have scales of their own.
	Scale bool
}

// Value is the mean of the final scores; nil where there is none.
func (m *mean) Value() *float64 {
	if m.Scored == 0 || !m.Scale {
		return nil
	}
	v := m.sum / float64(m.Scored)
	return &v
}

func (m *mean) add(e *experiment.EpisodeStatus) {
	m.Total++
	switch e.State {
	case experiment.Done:
		m.Done++
		if e.Submission != nil {
			m.Scored++
			m.sum += *e.Submission
		}
	case experiment.Failed, experiment.Skipped:
		m.Failed++
	case experiment.Running, experiment.Waiting:
	}
}

func (s *shape) fieldMean(episodes []experiment.EpisodeStatus, field int) *mean {
	m := &mean{ID: fmt.Sprintf("f-%d", field), Scale: true}
	for _, i := range s.fields[field] {
		m.add(&episodes[i])
	}
	return m
}

func (s *shape) rowMean(episodes []experiment.EpisodeStatus, row int) *mean {
	m := &mean{ID: fmt.Sprintf("fr-%d", row), Scale: true}
	for c := range s.agents {
		for _, i := range s.fields[row*len(s.agents)+c] {
			m.add(&episodes[i])
		}
	}
	return m
}

func (s *shape) columnMean(episodes []experiment.EpisodeStatus, column int) *mean {
	m := &mean{ID: fmt.Sprintf("fc-%d", column), Scale: len(s.rows) == 1}
	for r := range s.rows {
		for _, i := range s.fields[r*len(s.agents)+column] {
			m.add(&episodes[i])
		}
	}
	return m
}

// sign is the letter of a state, and the class of its colour.
func sign(e *experiment.EpisodeStatus, d experiment.Details) (letter, class string) {
	switch {
	case d.Problem != "":
		return "!", "odd"
	case e.State == experiment.Done:
		return "D", "done"
	case e.State == experiment.Failed:
		return "F", "failed"
	case e.State == experiment.Running:
		return "R", "running"
	case e.State == experiment.Skipped:
		return "S", "skipped"
	case e.Attempt > 0:
		return "C", "cut"
	}
	return "W", "waiting"
}

// stateWord says a state in a word or two.
func stateWord(e *experiment.EpisodeStatus, d experiment.Details) string {
	switch letter, _ := sign(e, d); letter {
	case "!":
		return "cannot be read"
	case "C":
		return "cut, to go on"
	}
	return string(e.State)
}

// group is what several episodes that are in trouble have in common.
type group struct {
	// Kind is a short title, Class the colour, Message that of the first one.
	Kind, Class, Message string
	Episodes             []int
}

var numbers = regexp.MustCompile(`[0-9]+`)

// trouble names the group of an episode, false for one that is not in trouble.
func trouble(e *experiment.EpisodeStatus, d experiment.Details) (kind, class, message string, ok bool) {
	if d.Problem != "" {
		return "cannot be read", "bad", d.Problem, true
	}
	switch {
	case e.State == experiment.Failed && d.Ending == experiment.ClassRefused:
		return "given up: cannot be run as it is", "bad", e.Message, true
	case e.State == experiment.Failed:
		return "given up after faults", "bad", e.Message, true
	case e.State == experiment.Skipped:
		return "skipped", "warn", e.Message, true
	case e.State != experiment.Waiting || e.Attempt == 0:
		return "", "", "", false
	}
	switch d.Ending {
	case experiment.ClassFault:
		return "fault, to be tried again", "warn", e.Message, true
	case experiment.ClassBudget:
		return "cut by the budget", "warn", e.Message, true
	case experiment.ClassStopped:
		return "stopped, to go on", "", e.Message, true
	case "":
		return "died, to go on", "warn", e.Message, true
	default:
		return string(d.Ending) + ", to go on", "warn", e.Message, true
	}
}

// groups sorts what is in trouble by what it says, numbers apart: the worst and
// most frequent first.
func groups(episodes []experiment.EpisodeStatus, details func(int) experiment.Details) []group {
	index := map[string]int{}
	var out []group
	for i := range episodes {
		kind, class, message, ok := trouble(&episodes[i], details(i))
		if !ok {
			continue
		}
		const most = 400
		key := message
		if len(key) > most {
			key = key[:most]
		}
		key = kind + "\n" + numbers.ReplaceAllString(strings.ReplaceAll(key, episodes[i].Name, ""), "#")
		n, ok := index[key]
		if !ok {
			n = len(out)
			index[key] = n
			out = append(out, group{Kind: kind, Class: class, Message: message})
		}
		out[n].Episodes = append(out[n].Episodes, i)
	}
	rank := func(g group) int { return slices.Index([]string{"bad", "warn", ""}, g.Class) }
	slices.SortStableFunc(out, func(a, b group) int {
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		return len(b.Episodes) - len(a.Episodes)
	})
	return out
}

// ending is how often episodes ended in one way.
type ending struct {
	Status           string
	Episodes, Scored int
}

func endings(episodes []experiment.EpisodeStatus) []ending {
	index := map[string]int{}
	var out []ending
	for i := range episodes {
		e := &episodes[i]
		if e.State != experiment.Done {
			continue
		}
		n, ok := index[e.ExitStatus]
		if !ok {
			n = len(out)
			index[e.ExitStatus] = n
			out = append(out, ending{Status: e.ExitStatus})
		}
		out[n].Episodes++
		if e.Submission != nil {
			out[n].Scored++
		}
	}
	slices.SortStableFunc(out, func(a, b ending) int { return b.Episodes - a.Episodes })
	return out
}

var plainID = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// episodeName names an episode in addresses: by its ID, or by its number where a
// plan of others has IDs that are none.
func episodeName(e *experiment.EpisodeStatus, i int) string {
	if plainID.MatchString(string(e.ID)) {
		return string(e.ID)
	}
	return "n" + strconv.Itoa(i)
}

func findEpisode(episodes []experiment.EpisodeStatus, name string) (int, bool) {
	if number, ok := strings.CutPrefix(name, "n"); ok {
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(episodes) {
			return i, true
		}
		return 0, false
	}
	i := slices.IndexFunc(episodes, func(e experiment.EpisodeStatus) bool { return string(e.ID) == name && plainID.MatchString(name) })
	return i, i >= 0
}

// segment of a bar, in hundredths of its width.
type segment struct {
	Class string
	X, W  float64
}

// bar draws counts.
func bar(c experiment.Counts) []segment {
	if c.Total == 0 {
		return nil
	}
	var out []segment
	x := 0.0
	for _, part := range []struct {
		class string
		n     int
	}{{"done", c.Done}, {"failed", c.Failed}, {"skipped", c.Skipped}, {"running", c.Running}} {
		w := 100 * float64(part.n) / float64(c.Total)
		if w > 0 {
			out = append(out, segment{part.class, x, w})
		}
		x += w
	}
	return out
}

// episodePath is the page of an episode.
func episodePath(key, name string) string {
	return "experiments/" + key + "/episodes/" + url.PathEscape(name) + "/"
}

package board

import (
	"fmt"
	"slices"

	"mlgym/experiment"
)

// tally is a field of the matrix.
type tally struct {
	total, done, failed int
	scored              int
	sum                 float64 // of the scores that count
}

func (t *tally) add(e *experiment.EpisodeStatus) {
	t.total++
	switch e.State {
	case experiment.Done:
		t.done++
		if e.Submission != nil {
			t.scored++
			t.sum += *e.Submission
		}
	case experiment.Failed, experiment.Skipped:
		t.failed++
	case experiment.Running, experiment.Waiting:
	}
}

// text is "3/4 0.812": three of four episodes are done, the mean of their
// final scores is 0.812; "3/4 !1 0.812" where one failed or was skipped.
func (t *tally) text() string {
	if t == nil || t.total == 0 {
		return ""
	}
	text := fmt.Sprintf("%d/%d", t.done, t.total)
	if t.failed > 0 {
		text += fmt.Sprintf(" !%d", t.failed)
	}
	if t.scored > 0 {
		text += " " + score(t.sum/float64(t.scored))
	}
	return text
}

func (t *tally) style() style {
	switch {
	case t == nil:
		return ordinary
	case t.failed > 0:
		return careful
	case t.done == t.total:
		return good
	}
	return ordinary
}

// matrix draws tasks × agents in at most so many lines, or nothing where there
// is one of each.
func (p *picture) matrix(most int) []line {
	type place struct{ task, variant, agent string }
	fields := map[place]*tally{}
	metrics := map[[2]string]string{}
	variants := map[string][]string{}
	var tasks [][2]string
	var agents []string
	for i := range p.status.Episodes {
		e := &p.status.Episodes[i]
		at := place{e.Task, e.Variant, e.Agent}
		t := fields[at]
		if t == nil {
			t = new(tally)
			fields[at] = t
			// A map that is asked once for each field, not for each episode.
			if task := [2]string{e.Task, e.Variant}; !slices.Contains(tasks, task) {
				tasks = append(tasks, task)
				variants[e.Task] = append(variants[e.Task], e.Variant)
				metrics[task] = e.Metric
			}
			if !slices.Contains(agents, e.Agent) {
				agents = append(agents, e.Agent)
			}
		}
		t.add(e)
	}
	if len(tasks) == 0 || len(tasks)*len(agents) < 2 || most < 4 {
		return nil
	}

	more := 0
	if len(tasks) > most-2 { // an empty line and the heading
		more = len(tasks) - (most - 3)
		tasks = tasks[:most-3]
	}
	const gap, mostAgent, mostTask = 2, 18, 32
	names := make([]string, len(tasks))
	nameWidth := 0
	for i, task := range tasks {
		names[i] = plain(task[0])
		if len(variants[task[0]]) > 1 {
			names[i] += " (" + plain(task[1]) + ")"
		}
		if metric := plain(metrics[task]); metric != "" {
			names[i] += " " + metric
		}
		nameWidth = max(nameWidth, width(names[i]))
	}
	nameWidth = min(nameWidth, mostTask, p.opts.Width/3)

	head := line{{pad("", nameWidth, false), ordinary}}
	rows := make([]line, len(tasks))
	for i := range rows {
		rows[i] = line{{pad(clipMiddle(names[i], nameWidth), nameWidth, false), ordinary}}
	}
	used := nameWidth
	for a, agent := range agents {
		title := clipMiddle(plain(agent), mostAgent)
		w := width(title)
		for _, task := range tasks {
			w = max(w, width(fields[place{task[0], task[1], agent}].text()))
		}
		rest := ""
		if after := len(agents) - a; after > 1 {
			rest = fmt.Sprintf("  +%d", after-1)
		}
		if used+gap+w+width(rest) > p.opts.Width {
			head = append(head, span{fmt.Sprintf("  +%d", len(agents)-a), faint})
			break
		}
		used += gap + w
		head = append(head, span{"  ", ordinary}, span{pad(title, w, false), bold})
		for i, task := range tasks {
			t := fields[place{task[0], task[1], agent}]
			rows[i] = append(rows[i], span{"  ", ordinary}, span{pad(t.text(), w, false), t.style()})
		}
	}
	out := append([]line{{}, head}, rows...)
	if more > 0 {
		out = append(out, line{{fmt.Sprintf("… %d more tasks", more), faint}})
	}
	return out
}

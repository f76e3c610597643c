package runs

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// besidePage is two steps beside each other.
type besidePage struct {
	Keys  string
	Sides []*stepWhole
	// Pair says which they are, such as "step 12 and step 14".
	Title string
	Diffs []textDiff
	Back  string
}

// stepWhole is a step with its texts.
type stepWhole struct {
	*side
	// Missing says that the run has no such step here.
	Missing bool
	record.Brief
	Name        string
	Link        string
	Thought     template.HTML
	Action      template.HTML
	Observation folded
	Whole       string // path of the whole output
}

// folded is an output of which the middle may be left out.
type folded struct {
	Head, Tail  template.HTML
	HiddenLines int
	HiddenBytes int
	Whole       bool
}

// textDiff is how a text of two steps differs.
type textDiff struct {
	Name string
	// Same says that it does not, TooLong that it was not looked at.
	Same, TooLong bool
	HTML          template.HTML
}

// How much of an output is shown, and how long texts are whose differences are.
const (
	shownLines = 60
	shownBytes = 12_000
	diffBytes  = 1 << 20
)

func outputOf(text string) folded {
	f := markup.Fold(text, shownLines, shownBytes)
	out := folded{Head: markup.Terminal(f.Head), HiddenLines: f.HiddenLines, HiddenBytes: f.HiddenBytes, Whole: f.Whole}
	if !f.Whole {
		out.Tail = markup.Terminal(f.Tail)
	}
	return out
}

func diffOf(name, left, right string) textDiff {
	d := textDiff{Name: name, Same: left == right}
	switch {
	case d.Same:
	case len(left) > diffBytes || len(right) > diffBytes:
		d.TooLong = true
	default:
		d.HTML = markup.Diff(left, right)
	}
	return d
}

// beside reads the steps that an address names: "12,14", or "12,-" where the other
// run has none.
func (p *Pages) beside(r *http.Request) (*besidePage, error) {
	sides, err := p.opened(r.Context(), r.PathValue("keys"), 2)
	if err != nil {
		return nil, err
	}
	left, right, ok := strings.Cut(r.PathValue("pair"), ",")
	if !ok || left == "-" && right == "-" {
		return nil, badf("%q does not name two steps, such as 12,14 or 12,-", markup.Head(r.PathValue("pair"), 40))
	}
	data := &besidePage{Keys: keysOf(sides), Back: "compare/" + keysOf(sides) + "/"}
	var texts []record.Step
	var names []string
	for i, number := range []string{left, right} {
		whole := &stepWhole{side: &sides[i], Missing: number == "-"}
		data.Sides = append(data.Sides, whole)
		if whole.Missing {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, badf("%q is no number of a step", markup.Head(number, 20))
		}
		step, err := p.whole(r.Context(), whole, n)
		if err != nil {
			return nil, err
		}
		texts, names = append(texts, step), append(names, sides[i].Letter+": "+whole.Name)
	}
	data.Title = strings.Join(names, ", ")
	if len(texts) == 2 {
		a, b := &texts[0], &texts[1]
		data.Diffs = []textDiff{diffOf("thoughts", a.Thought, b.Thought), diffOf("actions", a.Action, b.Action), diffOf("observations", a.Observation, b.Observation)}
	}
	return data, nil
}

func (p *Pages) whole(ctx context.Context, s *stepWhole, n int) (record.Step, error) {
	step, err := s.run.Step(ctx, n)
	if err != nil {
		return step, err
	}
	s.Brief, s.Name, s.Link = step.Brief, "step "+itoa(n), p.stepPage(s.Key, n)
	if n == 0 {
		s.Name = "start"
	}
	s.Whole = "runs/" + string(s.Key) + "/observation/" + itoa(n) + ".txt"
	if step.Thought != "" {
		s.Thought = markup.Markdown(step.Thought)
	}
	if step.Action != "" {
		s.Action = markup.Shell(step.Action)
	}
	s.Observation = outputOf(step.Observation)
	return step, nil
}

func (p *Pages) compareStep(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	data, err := p.beside(r)
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	p.room.Render(w, r, page.Page{
		Title: "Compare " + data.Title, Section: runsSection, Path: "compare/" + data.Keys + "/step/" + r.PathValue("pair") + "/", Template: "beside", Data: data,
		Styles: []string{"markup/markup.css", "runs/runs.css"}, Wide: true,
	})
}

// compareStepPart answers with the two steps alone, for the script.
func (p *Pages) compareStepPart(w http.ResponseWriter, r *http.Request) {
	data, err := p.beside(r)
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	p.room.Fragment(w, r, "beside-steps", data)
}

package run

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mlgym/gym"
	"mlgym/search"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// headView is what a run is and what it came to.
type headView struct {
	record.Header
	Key    record.Key
	TaskID string // for a link; "" where there can be none
	Name   string
	Who    string // what worked on it
	Live   bool
	Status pill
	Exit   pill
	// FinalClass and FinalDelta compare the final score with the baseline, and the
	// others the best.
	FinalClass, FinalDelta string
	BestClass, BestDelta   string
	BestStep               int
	BestPage               string // that the step is on, "" for the page of the run itself
	Better                 string // "higher is better"
}

// factView is one line of a list.
type factView struct{ Name, Value string }

// pageView is what the page of a run shows.
type pageView struct {
	Head     headView
	Timeline timeline
	Chart    *chart
	Closing  []noteView
	Setting  []factView
	Config   string // of the agent, JSON
	Records  []string
	Trees    []treeView
	Logs     bool
	Others   []record.Entry
	Steps    []stepView
	From, To int // steps on the page
	Total    int
	Paged    bool // several pages, and this is one of them
	Pages    []pageRange
	Data     pageData
}

type treeView struct {
	Step int
	Name string
}

// pageRange is one of the pages of steps.
type pageRange struct {
	Path     string
	From, To int
	Here     bool
}

// pageData is what the script of the page has to know.
type pageData struct {
	Total   int     `json:"total"`
	From    int     `json:"from"`
	To      int     `json:"to"`
	Pending bool    `json:"pending"`
	Live    bool    `json:"live"`
	Static  bool    `json:"static"`
	Paged   bool    `json:"paged"`
	PerPage int     `json:"perPage"`
	Scores  []score `json:"scores"`
}

// score is where a step was scored.
type score struct {
	Step int    `json:"step"`
	Kind string `json:"kind"`
}

var stateClasses = map[search.State]string{search.Running: "now", search.Finished: "good", search.Cut: "warn", search.Broken: "bad"}

var stateTitles = map[search.State]string{
	search.Running:  "A process is writing the run",
	search.Finished: "The episode has ended",
	search.Cut:      "The run has no end and nobody is writing it; it can be resumed",
	search.Broken:   "The files of the run cannot be read, or not all of them",
}

func (p *Pages) newHead(run *record.Run) headView {
	h := run.Header()
	e := run.Entry()
	v := headView{Header: h, Key: e.Key, TaskID: taskID(h.Task), Name: markup.Visible(e.Name), Live: h.State == search.Running}
	h = v.Header
	for _, text := range []*string{&h.Task, &h.Model, &h.Agent, &h.AgentName, &h.Scaffold, &h.Mode, &h.Variant, &h.Metric, &h.ExitStatus, &h.Reason} {
		*text = markup.Visible(*text)
	}
	h.Problems = slices.Clone(h.Problems)
	for i := range h.Problems {
		h.Problems[i] = markup.Visible(h.Problems[i])
	}
	if h.Fault != nil {
		fault := *h.Fault
		fault.Message, fault.Source = markup.Visible(fault.Message), markup.Visible(fault.Source)
		h.Fault = &fault
	}
	v.Header = h
	v.Who = firstOf(h.Model, h.AgentName, h.Agent, "unknown agent")
	v.Status = pill{stateClasses[h.State], string(h.State), stateTitles[h.State]}
	if h.ExitStatus != "" {
		v.Exit = pill{statusClass(h.ExitStatus), h.ExitStatus, meaning(h.ExitStatus)}
	}
	v.FinalClass, v.FinalDelta = against(h.Score, h.BaselineScore, h.Direction)
	v.BestClass, v.BestDelta = against(h.Best, h.BaselineScore, h.Direction)
	for _, e := range h.Evaluations {
		if e.Best {
			v.BestStep = e.Step
		}
	}
	if p.site.Static() {
		v.BestPage = p.pageOf(v.Key, v.BestStep)
	}
	switch h.Direction {
	case "maximize":
		v.Better = "higher is better"
	case "minimize":
		v.Better = "lower is better"
	}
	return v
}

// taskID is the id of a task that may have a page: a record may name anything.
func taskID(id string) string {
	if id == "" || strings.ContainsAny(id, "/") || strings.Trim(id, ".") == "" || plainName(id) != id {
		return ""
	}
	return id
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// Title names the run in the browser's bar.
func (v headView) Title() string {
	return fmt.Sprintf("%s · %s · seed %d", firstOf(v.Task, v.Name), v.Who, v.Seed)
}

// lapses are the steps as the timeline needs them, and the marks above it.
func lapses(run *record.Run) (steps []lapse, marks []mark) {
	briefs := run.Briefs(1, run.Len())
	steps = make([]lapse, 0, len(briefs))
	for i := range briefs {
		b := &briefs[i]
		steps = append(steps, lapse{b.Number, firstOf(b.Group, "Bash"), b.Seconds + b.Think, markup.Head(b.Head, 100)})
		for _, e := range b.Evaluations {
			title := fmt.Sprintf("step %d · %s · ", b.Number, markup.Visible(string(e.Kind)))
			if e.Score != nil {
				title += short(*e.Score)
			} else {
				title += firstOf(markup.Visible(string(e.Problem)), "no score")
			}
			marks = append(marks, mark{Step: b.Number, Kind: kindClass(e.Kind), Title: title})
		}
		for _, e := range b.Before {
			if e.Kind == record.EventFault || e.Kind == record.EventResume {
				marks = append(marks, mark{Step: b.Number, Kind: e.Kind, Title: fmt.Sprintf("before step %d · %s", b.Number, e.Kind)})
			}
		}
	}
	return steps, marks
}

func kindClass(k gym.Kind) string {
	if k == gym.Submit {
		return "submit"
	}
	return "validate"
}

// scores are all that can be drawn.
func (v *headView) chart(pageOf func(step int) string) *chart {
	var list []measured
	for _, e := range v.Evaluations {
		if e.Score != nil {
			list = append(list, measured{e.Step, kindClass(e.Kind), *e.Score})
		}
	}
	return newChart(v.Metric, list, v.BaselineScore, v.Steps, func(m measured) string {
		return fmt.Sprintf("step %d · %s · %s", m.step, m.kind, short(m.value))
	}, pageOf)
}

// newPage collects the page of a run that shows the steps of a range, or as many from
// the first on as the first answer has room for.
func (p *Pages) newPage(r *http.Request, run *record.Run, from, n int, whole bool) (*pageView, error) {
	v := &pageView{Head: p.newHead(run), Total: run.Len(), From: from, Logs: p.opts.Logs && !run.Published()}
	key := v.Head.Key
	steps, marks := lapses(run)
	v.Timeline = newTimeline(steps, marks, p.linked(key, whole))
	v.Chart = v.Head.chart(p.linked(key, whole))
	for _, e := range run.Closing() {
		v.Closing = append(v.Closing, newNote(e))
	}
	v.Setting, v.Config = setting(&v.Head.Header)
	v.Records = records(run)
	trees, err := run.Trees(r.Context())
	if err != nil && r.Context().Err() == nil {
		v.Head.Problems = append(v.Head.Problems, "the files that were handed in cannot be listed: "+err.Error())
	}
	for _, t := range trees {
		v.Trees = append(v.Trees, treeView{t.Step, t.Name})
	}
	if !p.site.Static() {
		v.Others = p.others(r, run)
	}

	size := 0
	rd := p.reader(run)
	rd.total = v.Total
	v.To = from - 1
	err = rd.steps(r.Context(), from, n, func(s *stepView) bool {
		size += s.size()
		if !whole && len(v.Steps) > 0 && size > firstBytes {
			return false
		}
		v.Steps = append(v.Steps, *s)
		v.To = s.Number
		return true
	})
	if err != nil {
		return nil, err
	}
	for first := 1; first <= v.Total && v.Total > perPage; first += perPage {
		path := root(key) + "steps/" + strconv.Itoa(first) + "/"
		if first == 1 {
			path = root(key)
		}
		to := min(first+perPage-1, v.Total)
		v.Pages = append(v.Pages, pageRange{path, first, to, whole && from <= first && first <= v.To})
	}
	v.Pages = nearPages(v.Pages)
	v.Data = pageData{
		Total: v.Total, From: v.From, To: v.To, Live: v.Head.Live && !p.site.Static(), Static: p.site.Static(),
		Paged: whole, PerPage: perPage, Scores: []score{},
	}
	if last := run.Briefs(v.Total, 1); len(last) == 1 {
		v.Data.Pending = last[0].Pending
	}
	for _, e := range v.Head.Evaluations {
		if e.Step > 0 {
			v.Data.Scores = append(v.Data.Scores, score{e.Step, string(e.Kind)})
		}
	}
	return v, nil
}

// nearPages leaves pages out where there are hundreds: every page can still be reached
// from its neighbour.
func nearPages(pages []pageRange) []pageRange {
	const most = 40
	if len(pages) <= most {
		return pages
	}
	here := max(0, slices.IndexFunc(pages, func(p pageRange) bool { return p.Here }))
	var out []pageRange
	for i, p := range pages {
		if i == 0 || i == len(pages)-1 || i%(len(pages)/20) == 0 || i >= here-5 && i <= here+5 {
			out = append(out, p)
		}
	}
	return out
}

// linked says on which page a step is, "" for the page of the run itself, whose script
// brings every step.
func (p *Pages) linked(key record.Key, paged bool) func(step int) string {
	return func(step int) string {
		if !paged {
			return ""
		}
		return p.paged(key, step)
	}
}

// size is about how long a step is as HTML.
func (s *stepView) size() int {
	n := 1200
	for _, t := range []*passage{s.Statement, s.ThoughtText, s.Act, s.Output} {
		if t != nil {
			n += len(t.Head) + len(t.Tail) + len(t.Numbers) + 250
		}
	}
	return n + 400*(len(s.Notes)+len(s.Scores)+len(s.Images))
}

// first answers with the page of a run.
func (p *Pages) first(w http.ResponseWriter, r *http.Request, run *record.Run) {
	n, whole := firstSteps+1, false
	if p.site.Static() {
		n, whole = perPage+1, true
	}
	p.page(w, r, run, 0, n, whole, "")
}

// later answers with a page of steps.
func (p *Pages) later(w http.ResponseWriter, r *http.Request, run *record.Run) {
	n, ok := p.stepOf(w, r, run)
	if !ok {
		return
	}
	key := run.Entry().Key
	if n < 1 || (n-1)%perPage != 0 {
		first := max(0, n-1)/perPage*perPage + 1
		http.Redirect(w, r, p.site.URL(fmt.Sprintf("%ssteps/%d/#step-%d", root(key), first, n)), http.StatusSeeOther) //nolint:gosec // a path of numbers and of the key of a run that is there
		return
	}
	p.page(w, r, run, n, perPage, true, fmt.Sprintf("steps/%d/", n))
}

func (p *Pages) page(w http.ResponseWriter, r *http.Request, run *record.Run, from, n int, whole bool, path string) {
	v, err := p.newPage(r, run, from, n, whole)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	title := v.Head.Title()
	if path != "" {
		title = fmt.Sprintf("Steps %d to %d · %s", v.From, v.To, title)
	}
	p.room.Render(w, r, page.Page{
		Title: title, Section: "runs", Path: root(v.Head.Key) + path, Template: "run", Data: v, Scripts: scripts, Styles: styles,
	})
}

// others are runs on the same task, to compare with.
func (p *Pages) others(r *http.Request, run *record.Run) []record.Entry {
	const some = 6
	h, key := run.Header(), run.Entry().Key
	if h.Task == "" {
		return nil
	}
	list, _, err := p.lib.Runs(r.Context(), search.RunQuery{Filter: search.Filter{Tasks: []string{h.Task}}, Limit: some + 1})
	if err != nil {
		return nil // the page is worth showing without
	}
	list = slices.DeleteFunc(list, func(e record.Entry) bool { return e.Key == key })
	return list[:min(len(list), some)]
}

// setting lists what the run was made with.
func setting(h *record.Header) (facts []factView, config string) {
	add := func(name, value string) {
		if value != "" && value != "0" {
			facts = append(facts, factView{markup.Visible(name), markup.Visible(value)})
		}
	}
	number := func(x float64, unit string) string {
		if x == 0 {
			return ""
		}
		return strconv.FormatFloat(x, 'f', -1, 64) + unit
	}
	add("Run", h.ID)
	add("Written by", h.Software)
	add("Task version", h.TaskVersion)
	add("Task digest", h.TaskDigest)
	for _, name := range sortedNames(h.Digests) {
		add("Digest of "+name, h.Digests[name])
	}
	add("Sandbox", strings.TrimSpace(h.Sandbox.Driver+" "+h.Sandbox.Version))
	add("Root of the sandbox", h.Sandbox.Root)
	if limits, err := json.Marshal(h.Sandbox.Limits); err == nil && string(limits) != "{}" {
		add("Limits of the sandbox", strings.NewReplacer(`"`, "", "{", "", "}", "", ",", ", ", ":", ": ", "_", " ").Replace(string(limits)))
	}
	add("Steps allowed", strconv.Itoa(h.Limits.MaxSteps))
	add("Time allowed", number(h.Limits.WallSeconds, " s"))
	add("Cost allowed", number(h.Limits.CostUSD, " USD"))
	add("Tokens allowed", strconv.FormatInt(h.Limits.Tokens, 10))
	add("Time for an action", number(h.Limits.ActionSeconds, " s"))
	add("Time for training", number(h.Limits.TrainingSeconds, " s"))
	add("Reward", h.RewardKind)
	if h.Prices != nil {
		add("Prices for a million tokens", fmt.Sprintf("in $%g, out $%g, cached $%g", h.Prices.InputUSD, h.Prices.OutputUSD, h.Prices.CachedUSD))
	}
	for _, name := range sortedNames(h.Baseline) {
		add("Baseline "+name, short(h.Baseline[name]))
	}
	if host, err := json.Marshal(h.Host); err == nil && string(host) != "{}" {
		var fields map[string]any
		if json.Unmarshal(host, &fields) == nil {
			for _, name := range sortedNames(fields) {
				add("Host: "+strings.ReplaceAll(name, "_", " "), fmt.Sprint(fields[name]))
			}
		}
	}
	return facts, markup.Visible(h.AgentConfig)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

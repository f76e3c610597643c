package tasks

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym"
	"mlgym/dataset"
	"mlgym/task"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

//go:embed templates static
var files embed.FS

// Pages are the pages about tasks. They are safe for concurrent use.
type Pages struct {
	site     *page.Site
	room     *page.Room
	lib      *record.Library
	catalog  task.Catalog
	tasks    map[string]*task.Task
	ids      []string
	problems []string

	mu     sync.Mutex // guards latest
	latest *overview
}

// New returns the pages of the tasks that ship, and of others that the caller knows.
func New(site *page.Site, lib *record.Library, others ...*task.Task) *Pages {
	p := &Pages{site: site, room: site.NewRoom("tasks", files), lib: lib, tasks: map[string]*task.Task{}}
	var all []*task.Task
	catalog, err := mlgym.Tasks()
	if err == nil {
		p.catalog = catalog
		all, err = catalog.All()
	}
	if err != nil {
		p.problems = append(p.problems, err.Error())
	}
	for _, t := range append(all, others...) {
		p.tasks[string(t.ID)] = t
	}
	p.ids = slices.Sorted(maps.Keys(p.tasks))
	return p
}

// Register adds the pages to a site's paths.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /tasks/{$}", p.list)
	mux.HandleFunc("GET /tasks/{id}/{$}", p.one)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// place is a task's name in addresses: its ID, or, where that has odd characters, what
// is left of it with a digest.
func place(id string) string {
	if plainName.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	var clean strings.Builder
	for i := 0; i < len(id) && i < 40; i++ {
		if c := id[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			clean.WriteByte(c)
		} else {
			clean.WriteByte('-')
		}
	}
	return "_" + clean.String() + "-" + hex.EncodeToString(sum[:5])
}

// line is a task in the list.
type line struct {
	Task     *task.Task // nil for one that only runs name
	ID       string
	Path     string
	Standing *standing
	Variants []variantLine
}

// variantLine is what the list says of one variant.
type variantLine struct {
	Name     string
	Baseline *float64
	Boards   []*board
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	data := struct {
		Lines, Unknown []line
		Problems       []string
		Progress       record.Progress
	}{Problems: slices.Clone(p.problems), Progress: p.lib.Progress()}
	all, err := p.overview(r.Context())
	if err != nil {
		data.Problems = append(data.Problems, "The runs cannot be listed: "+err.Error())
		all = &overview{}
	}
	for _, id := range p.ids {
		t := p.tasks[id]
		l := line{Task: t, ID: id, Path: "tasks/" + place(id) + "/", Standing: all.byTask[id]}
		for _, name := range t.VariantNames() {
			l.Variants = append(l.Variants, variantLine{name, primary(t, t.Baseline(name)), l.Standing.variant(name)})
		}
		data.Lines = append(data.Lines, l)
	}
	for _, s := range all.unknown(p) {
		data.Unknown = append(data.Unknown, line{ID: markup.Head(s.Task, shownRunes), Path: "tasks/" + place(s.Task) + "/", Standing: s})
	}
	p.room.Render(w, r, page.Page{
		Title: "Tasks", Section: "tasks", Path: "tasks/", Template: "list", Data: data, Styles: []string{"tasks/tasks.css"},
	})
}

// primary is the primary metric's part of a measurement, nil where there is none.
func primary(t *task.Task, m *task.Measured) *float64 {
	if m == nil {
		return nil
	}
	x, ok := m.Scores[t.Primary().Name]
	if !ok {
		return nil
	}
	return &x
}

// find returns a task's ID by its place in addresses, or by the ID itself.
func (p *Pages) find(name string, all *overview) (string, bool) {
	if p.tasks[name] != nil || all.byTask[name] != nil {
		return name, true
	}
	for id := range all.byTask {
		if place(id) == name {
			return id, true
		}
	}
	return "", false
}

// variantFacts are what a page says of a variant.
type variantFacts struct {
	Name                string
	Summary             string
	GPUs                int
	Baseline, Reference *measured
}

// measured is a score and where it comes from.
type measured struct {
	Score  *float64
	Origin string
}

func measuredOf(t *task.Task, m *task.Measured) *measured {
	if m == nil {
		return nil
	}
	return &measured{primary(t, m), m.Origin}
}

// detail is the page of one task.
type detail struct {
	ID       string
	Task     *task.Task
	Standing *standing
	RunsLink string
	PlayLink string
	Problems []string

	// What follows is of a task that ships.
	Description, Readme template.HTML
	Metrics             []metricFacts
	Variants            []variantFacts
	Published           *measured
	Files               []starterFile
	Datasets            []datasetFacts
	Limits              []fact
	Commands            []string
}

// metricFacts are what a page says of a metric.
type metricFacts struct {
	task.Metric
	// Low and High bound what is possible, and Beyond is where honest work ends, ""
	// where nothing is known.
	Low, High, Beyond string
}

func metricsOf(t *task.Task) (out []metricFacts) {
	bound := func(x *float64, none string) string {
		if x == nil {
			return none
		}
		return strings.Replace(fmt.Sprintf("%.6g", *x), "-", "−", 1)
	}
	for _, m := range t.Metrics {
		f := metricFacts{Metric: m, Low: bound(m.Min, "−∞"), High: bound(m.Max, "∞"), Beyond: bound(m.Alarm, "")}
		if f.Beyond != "" && m.Direction == task.Minimize {
			f.Beyond = "below " + f.Beyond
		} else if f.Beyond != "" {
			f.Beyond = "above " + f.Beyond
		}
		out = append(out, f)
	}
	return out
}

// fact is a name and a value.
type fact struct{ Name, Value string }

func (p *Pages) one(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	name := r.PathValue("id")
	d := &detail{}
	all, err := p.overview(r.Context())
	if err != nil {
		d.Problems = append(d.Problems, "The runs cannot be listed: "+err.Error())
		all = &overview{}
	}
	id, ok := p.find(name, all)
	if !ok {
		p.room.Error(w, r, http.StatusNotFound, "tasks", p.missing(name))
		return
	}
	d.ID, d.Task, d.Standing = id, p.tasks[id], all.byTask[id]
	if !p.site.Static() {
		d.RunsLink = "runs/?" + url.Values{"task": {id}}.Encode()
		if p.site.Control() && d.Task != nil {
			d.PlayLink = "play/?" + url.Values{"task": {id}}.Encode()
		}
	}
	d.ID = markup.Head(id, shownRunes)
	title := d.ID
	if d.Task != nil {
		title = d.Task.Name
		p.describe(d)
	}
	p.room.Render(w, r, page.Page{
		Title: title, Section: "tasks", Path: "tasks/" + place(id) + "/", Template: "task", Data: d,
		Styles: []string{"markup/markup.css", "tasks/tasks.css"}, Scripts: []string{"tasks/tasks.js"},
	})
}

// missing says that there is no such task, and which names are near.
func (p *Pages) missing(name string) string {
	text := fmt.Sprintf("No task is called %q here, and no run names it.", name)
	_, err := p.catalog.Find(task.ID(name))
	if unknown, ok := errors.AsType[*task.UnknownError](err); ok && len(unknown.Nearest) > 0 {
		text += " Near it: " + strings.Join(unknown.Nearest, ", ") + "."
	}
	if progress := p.lib.Progress(); progress.Indexing {
		text += " The runs are still being read; one of them may name it."
	}
	return text
}

// describe fills in what a task's folder says.
func (p *Pages) describe(d *detail) {
	t := d.Task
	d.Description = markup.Markdown(t.Description)
	if strings.TrimSpace(t.Readme) != "" {
		d.Readme = markup.Markdown(t.Readme)
	}
	d.Metrics = metricsOf(t)
	for _, name := range t.VariantNames() {
		v := t.Variants[name]
		d.Variants = append(d.Variants, variantFacts{
			Name: name, Summary: v.Summary, GPUs: v.GPUs,
			Baseline: measuredOf(t, t.Baseline(name)), Reference: measuredOf(t, t.Reference(name)),
		})
	}
	d.Published = measuredOf(t, t.PublishedBaseline)
	var problems []string
	d.Files, problems = starterFiles(t)
	d.Problems = append(d.Problems, problems...)
	d.Datasets, problems = datasetsOf(t)
	d.Problems = append(d.Problems, problems...)
	d.Limits = limits(t)
	d.Commands = commands(t)
}

// limits says what an agent has for the task.
func limits(t *task.Task) []fact {
	l := t.Limits.Limits().WithDefaults()
	out := []fact{
		{"Time for a command", duration(t.CommandTimeout)},
		{"… that runs a training program", duration(t.TrainingTimeout)},
		{"Memory", size(l.MemoryBytes)},
		{"Processors", fmt.Sprintf("%g", l.CPUs)},
		{"Processes", strconv.Itoa(l.Processes)},
		{"Disk, each writable place", size(l.DiskBytes)},
		{"Network", "none"},
		{"Python", cmp.Or(t.Environment, "that of the system")},
		{"Time for a grading", duration(t.Grading.Timeout)},
	}
	if player := t.Grading.Player; player != nil {
		out = append(out,
			fact{"Time to load the program", duration(player.StartTimeout)},
			fact{"Time for an answer", duration(player.AnswerTimeout)},
			fact{"Time for all answers", duration(player.TotalTimeout)},
			fact{"Memory of the program", size(player.World.Limits().WithDefaults().MemoryBytes)})
	}
	return out
}

// duration writes one without the units that are 0.
func duration(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Second && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}

func size(bytes int64) string {
	const giga, mega = 1 << 30, 1 << 20
	if bytes >= giga {
		return fmt.Sprintf("%.4g GiB", float64(bytes)/giga)
	}
	return fmt.Sprintf("%.4g MiB", float64(bytes)/mega)
}

// commands are how the task is prepared, tried and run.
func commands(t *task.Task) []string {
	id := string(t.ID)
	variant := ""
	if _, err := t.Variant(task.Small); err == nil {
		variant = " --variant small"
	}
	out := []string{
		"mlgym run --task " + id + " --agent llm --model anthropic/claude-sonnet-4-5",
		"mlgym run --task " + id + " --agent baseline" + variant,
		"mlgym run --task " + id + " --agent human" + variant,
	}
	if t.Environment != "" || len(t.Datasets) > 0 {
		out = slices.Insert(out, 0, "mlgym task prepare "+id+variant)
	}
	return out
}

// datasetFacts is what a page says of a data set: nothing of what is in it.
type datasetFacts struct {
	ID, Name, Licence, Homepage, Description string
	Splits                                   []dataset.Split
	Variants                                 []fact
}

// datasetsOf describes the data sets of a task: its own, or those that ship.
func datasetsOf(t *task.Task) (out []datasetFacts, problems []string) {
	own, hasOwn := t.OwnDatasets()
	for _, name := range t.Datasets {
		d, err := mlgym.Datasets().Find(dataset.ID(name))
		if hasOwn {
			if mine, ownErr := dataset.NewCatalog(own).Find(dataset.ID(name)); ownErr == nil {
				d, err = mine, nil
			}
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("The data set %s cannot be described: %v", name, err))
			continue
		}
		f := datasetFacts{
			ID: string(d.ID), Name: d.Name, Licence: d.Licence, Description: strings.TrimSpace(d.Description), Splits: d.Splits,
		}
		if u, err := url.Parse(d.Homepage); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			f.Homepage = d.Homepage
		}
		for _, v := range d.VariantNames() {
			f.Variants = append(f.Variants, fact{v, d.Variants[v].Summary + " (about " + size(d.Variants[v].Bytes) + ")"})
		}
		out = append(out, f)
	}
	return out, problems
}

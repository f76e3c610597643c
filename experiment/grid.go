package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mlgym"
	"mlgym/episode"
	"mlgym/machine"
	"mlgym/model/price"
	"mlgym/runstore"
	"mlgym/task"
)

// Cell is one episode of the grid, with all that decides it.
type Cell struct {
	FormatVersion int `json:"format_version"`
	ID            ID  `json:"id"`
	// Name is task, agent and seed, for people.
	Name string `json:"name"`
	// Agent is its name in the experiment.
	Agent string       `json:"agent_name"`
	Spec  episode.Spec `json:"spec"`
	// Prices is a file that extends the table of prices, "" for none.
	Prices string `json:"prices,omitempty"`
	// Metric is the primary one.
	Metric string `json:"metric"`
	// Needs is what the agent's sandbox takes of a machine.
	Needs machine.Resources `json:"needs"`
	// GradingBytes is the memory that one grading takes beside it.
	GradingBytes int64 `json:"grading_bytes"`
	// GraderKey is a digest of the secret of the gradings, so that a machine with
	// another one is found out. It tells nothing of the secret.
	GraderKey string `json:"grader_key_digest"`
	// Skip says why the episode cannot run on this machine, "" where it can.
	Skip string `json:"skip,omitempty"`
	// WorstUSD is what the model may cost; nil where that is not limited or the
	// price is not known, 0 without a model.
	WorstUSD *float64 `json:"worst_usd"`
}

// Dir is the name of the cell's folder.
func (c *Cell) Dir() string { return c.Name + "-" + string(c.ID[:8]) }

// Plan is the grid, in the order in which its episodes begin.
type Plan struct {
	Cells []*Cell
	// Notes are sentences for whoever starts the experiment.
	Notes []string
}

// Planner makes a Plan of a File.
type Planner struct {
	// Provide makes or finds what a task needs.
	Provide func(ctx context.Context, t *task.Task, variant string) (mlgym.Provided, error)
	Secret  []byte
	// GPUs of the machine; negative where somebody else finds a place.
	GPUs int
}

// Plan expands the grid: seeds outermost, so that every task and agent has a
// first episode early. The errors are the user's to mend, or those of Provide.
func (p *Planner) Plan(ctx context.Context, f *File) (*Plan, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	prices, err := price.ForUser(f.Prices)
	if err != nil {
		return nil, fmt.Errorf("prices: %w", err)
	}
	seeds, err := f.seeds()
	if err != nil {
		return nil, err
	}
	made := &expansion{Planner: p, file: f, prices: prices, images: map[string]string{}, noted: map[string]bool{}}
	var pairs []*pair
	for _, name := range f.Tasks {
		for _, agent := range f.Agents {
			pair, err := made.pair(ctx, name, agent)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, pair)
		}
	}
	plan := &Plan{Notes: made.notes}
	names, taken := map[ID]string{}, map[string]bool{}
	for _, seed := range seeds {
		for _, pair := range pairs {
			cell, err := made.cell(pair, seed)
			if err != nil {
				return nil, err
			}
			if other, taken := names[cell.ID]; taken {
				return nil, fmt.Errorf("%s and %s are the same episode: their agents differ in nothing that decides it", other, cell.Name)
			}
			if taken[cell.Name] {
				return nil, fmt.Errorf("two episodes are called %s: give the agents, or the folders of the tasks, names that differ in more than signs", cell.Name)
			}
			names[cell.ID], taken[cell.Name] = cell.Name, true
			plan.Cells = append(plan.Cells, cell)
		}
	}
	return plan, nil
}

// expansion is one call of Plan.
type expansion struct {
	*Planner
	file   *File
	prices price.Table
	tasks  map[string]*task.Task
	given  map[string]mlgym.Provided // by task and variant
	images map[string]string
	notes  []string
	noted  map[string]bool
}

// pair is a task and an agent, for all seeds.
type pair struct {
	agent   Agent
	episode *episode.Episode
	gpus    int
	skip    string
}

func (x *expansion) note(text string) {
	if !x.noted[text] {
		x.noted[text] = true
		x.notes = append(x.notes, text)
	}
}

func (x *expansion) find(name string) (*task.Task, error) {
	if t, ok := x.tasks[name]; ok {
		return t, nil
	}
	t, err := episode.FindTask(name)
	if err != nil {
		return nil, err
	}
	if x.tasks == nil {
		x.tasks = map[string]*task.Task{}
	}
	x.tasks[name] = t
	return t, nil
}

func (x *expansion) pair(ctx context.Context, name string, a Agent) (*pair, error) {
	t, err := x.find(name)
	if err != nil {
		return nil, err
	}
	spec := x.file.spec(name, a)
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("task %s, agent %s: %w", t.ID, a.label(), err)
	}
	got := &pair{agent: a}
	if err := x.place(got, t, &spec); err != nil {
		return nil, err
	}
	given, err := x.provide(ctx, t, spec.Variant)
	if err != nil {
		return nil, err
	}
	if got.episode, err = episode.New(spec, t, given, x.prices); err != nil {
		return nil, fmt.Errorf("task %s, agent %s: %w", t.ID, a.label(), err)
	}
	for _, note := range got.episode.Notes {
		x.note(note)
	}
	if x.file.Budget.USD > 0 && spec.Agent == "llm" && got.episode.Prices == nil {
		return nil, fmt.Errorf("agent %s: a budget in dollars needs the price of %s, which is not known; give it with prices: FILE (--prices), or leave the budget in dollars out", a.label(), spec.Model)
	}
	return got, nil
}

// place chooses the variant by the GPUs that there are.
func (x *expansion) place(got *pair, t *task.Task, spec *episode.Spec) error {
	v, err := t.Variant(spec.Variant)
	if err != nil {
		return fmt.Errorf("task %s: %w", t.ID, err)
	}
	got.gpus = v.GPUs
	if asked := x.file.gpus(spec.Task); asked != nil {
		got.gpus = *asked
	}
	if x.GPUs < 0 || got.gpus <= x.GPUs {
		return nil
	}
	lacks := fmt.Sprintf("%s (%s) needs %d GPU(s) and this machine offers %d", t.ID, spec.Variant, got.gpus, x.GPUs)
	other := x.file.WithoutGPU
	if other == "" || other == "skip" {
		got.skip = lacks
		x.note(lacks + ": it is skipped; without_gpu: small (--without-gpu small) runs it in that size instead")
		return nil
	}
	instead, err := t.Variant(other)
	if err != nil {
		return fmt.Errorf("without_gpu: task %s: %w", t.ID, err)
	}
	if instead.GPUs > x.GPUs {
		got.skip = fmt.Sprintf("%s, also as %s", lacks, other)
		x.note(got.skip + ": it is skipped")
		return nil
	}
	x.note(fmt.Sprintf("%s: it runs as %s", lacks, other))
	spec.Variant, got.gpus = other, instead.GPUs
	return nil
}

func (x *expansion) provide(ctx context.Context, t *task.Task, variant string) (mlgym.Provided, error) {
	key := string(t.ID) + "\x00" + variant
	if given, ok := x.given[key]; ok {
		return given, nil
	}
	given, err := x.Provide(ctx, t, variant)
	if err != nil {
		return given, err
	}
	if x.given == nil {
		x.given = map[string]mlgym.Provided{}
	}
	x.given[key] = given
	return given, nil
}

func (x *expansion) cell(p *pair, seed uint64) (*Cell, error) {
	e := *p.episode
	e.Spec.Seed = seed
	manifest, err := e.Manifest(x.Secret, "")
	if err != nil {
		return nil, err
	}
	image, ok := x.images[e.Spec.Root]
	if !ok {
		if image, err = imageDigest(e.Spec.Root); err != nil {
			return nil, err
		}
		x.images[e.Spec.Root] = image
	}
	id, err := identify(manifest, e.ScaffoldDigest(), image)
	if err != nil {
		return nil, err
	}
	limits := manifest.Sandbox.Limits
	cell := &Cell{
		FormatVersion: storeVersion, ID: id, Agent: p.agent.label(), Spec: e.Spec, Prices: x.file.Prices, Metric: manifest.PrimaryMetric,
		Name:         strings.Join([]string{runstore.FileName(string(e.Task.ID)), runstore.FileName(p.agent.label()), fmt.Sprintf("s%d", seed)}, "."),
		Needs:        machine.Resources{MemoryBytes: limits.MemoryBytes + besideAgent, CPUs: limits.CPUs, GPUs: p.gpus},
		GradingBytes: e.GradingMemory(), GraderKey: keyDigest(manifest.GraderKey), Skip: p.skip,
	}
	switch {
	case e.Spec.Agent != "llm":
		cell.WorstUSD = new(float64)
	case e.Prices != nil && e.Spec.CostUSD > 0:
		worst := e.Spec.CostUSD
		cell.WorstUSD = &worst
	}
	return cell, nil
}

// besideAgent is memory that an episode takes outside its sandbox: its history
// in this process, the sandbox's supervisor.
const besideAgent = 32 << 20

func keyDigest(key runstore.GraderKey) string {
	sum := sha256.Sum256(append([]byte("mlgym grader key digest\n"), key...))
	return hex.EncodeToString(sum[:8])
}

// imageDigest names the content of a root file system that is a file; folders
// and images of a registry are known by their name.
func imageDigest(root string) (digest string, err error) {
	if root == "" {
		return "", nil
	}
	info, err := os.Stat(root)
	if err != nil || !info.Mode().IsRegular() {
		return "", nil //nolint:nilerr // a folder, or an image's name
	}
	file, err := os.Open(filepath.Clean(root))
	if err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// open makes the episode of a cell on this machine, and refuses where anything
// that decides it is not what it was when it was planned.
func (c *Cell) open(t *task.Task, given mlgym.Provided, prices price.Table, secret []byte, version string) (*episode.Episode, runstore.Manifest, error) {
	e, err := episode.New(c.Spec, t, given, prices)
	if err != nil {
		return nil, runstore.Manifest{}, err
	}
	m, err := e.Manifest(secret, version)
	if err != nil {
		return nil, m, err
	}
	if keyDigest(m.GraderKey) != c.GraderKey {
		return nil, m, &UnfitError{Err: fmt.Errorf("it has another secret for its gradings than the one that planned the experiment: let them share %s", mlgym.EnvState)}
	}
	image, err := imageDigest(c.Spec.Root)
	if err != nil {
		return nil, m, err
	}
	id, err := identify(m, e.ScaffoldDigest(), image)
	if err != nil {
		return nil, m, err
	}
	if id != c.ID {
		return nil, m, &ChangedError{Cell: c.Name}
	}
	return e, m, nil
}

// UnfitError says that a machine cannot run an episode that another one can.
type UnfitError struct{ Err error }

func (e *UnfitError) Error() string {
	host, _ := os.Hostname() // for people
	return fmt.Sprintf("the machine %s cannot run this: %v", host, e.Err)
}

func (e *UnfitError) Unwrap() error { return e.Err }

// ChangedError says that something that decides an episode has changed since
// it was planned.
type ChangedError struct{ Cell string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s: its task, data, scaffold, prices or sandbox have changed since it was planned: run the experiment again, which plans it anew", e.Cell)
}

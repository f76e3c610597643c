package episode

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mlgym"
	"mlgym/model/price"
	"mlgym/model/providers"
	"mlgym/runstore"
	"mlgym/scaffold"
	"mlgym/task"
)

// Episode is one that can be run: its task is loaded, what the task needs is on
// this machine, its agent is known. It is not changed by running and is safe for
// concurrent use.
type Episode struct {
	Spec     Spec
	Task     *task.Task
	Provided mlgym.Provided
	// Prices of the model, nil where they are not known.
	Prices *runstore.Prices
	// Notes are sentences for whoever starts the episode.
	Notes []string

	scaffold *scaffold.Scaffold // of the llm agent
	table    price.Table
}

// FindTask finds a task that ships, or loads the folder of the user's own.
func FindTask(name string) (*task.Task, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, wrongf("task folder: %w", err)
		}
		if !info.IsDir() {
			name = filepath.Dir(name)
		}
		t, err := task.Load(os.DirFS(filepath.Dir(filepath.Clean(name))), filepath.Base(filepath.Clean(name)))
		return t, wrong(err)
	}
	catalog, err := mlgym.Tasks()
	if err != nil {
		return nil, err
	}
	return catalog.Find(task.ID(name))
}

// New joins a description, the task that it names, and what the task is given.
// The errors are the user's to mend.
func New(spec Spec, t *task.Task, given mlgym.Provided, prices price.Table) (*Episode, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if _, err := t.Variant(spec.Variant); err != nil {
		return nil, wrong(err)
	}
	if spec.AnyMode && !t.HasMode(task.Mode(spec.Mode)) {
		spec.Mode = string(t.Modes[0])
	}
	if !t.HasMode(task.Mode(spec.Mode)) {
		return nil, wrongf("task %s cannot be run in mode %q (it has %v)", t.ID, spec.Mode, t.Modes)
	}
	e := &Episode{Spec: spec, Task: t, Provided: given, table: prices}
	if spec.Agent != "llm" {
		return e, nil
	}
	var err error
	if e.scaffold, err = scaffold.Open(mlgym.Scaffolds(), spec.Scaffold); err != nil {
		return nil, wrong(err)
	}
	ref, err := providers.ParseRef(spec.Model)
	if err != nil {
		return nil, wrong(err)
	}
	known, ok := prices.Lookup(ref.String())
	switch {
	case ok:
		e.Prices = &runstore.Prices{InputUSD: known.InputUSD, OutputUSD: known.OutputUSD}
		if known.CachedInputUSD != nil {
			e.Prices.CachedUSD = *known.CachedInputUSD
		}
		if known.CacheWriteUSD != nil {
			e.Prices.CacheWriteUSD = *known.CacheWriteUSD
		}
	case spec.CostUSD > 0 && spec.CostIfKnown:
		e.Notes = append(e.Notes, fmt.Sprintf(
			"The price of %s is not known: the cost of this run will be unknown, and no limit on it is kept (--prices FILE gives a price).", ref))
		e.Spec.CostUSD = 0
	}
	return e, nil
}

// Manifest describes the run. Two episodes that differ in nothing that decides
// them have equal manifests, but for what [runstore.Create] adds and the host.
func (e *Episode) Manifest(secret []byte, version string) (runstore.Manifest, error) {
	config, err := json.Marshal(e.Spec.Config)
	if err != nil {
		return runstore.Manifest{}, err
	}
	s, t := &e.Spec, e.Task
	m := runstore.Manifest{
		MlgymVersion: version, Task: string(t.ID), TaskVersion: strconv.Itoa(t.Version), TaskDigest: string(t.Digest), Digests: maps.Clone(e.Provided.Digests),
		Mode: s.Mode, Variant: s.Variant, Agent: s.Agent, AgentConfig: config, Model: s.Model, Seed: s.Seed,
		Limits: runstore.Limits{
			MaxSteps: s.MaxSteps, WallSeconds: s.Wall.Seconds(), Tokens: s.Tokens,
			ActionSeconds: t.CommandTimeout.Seconds(), TrainingSeconds: t.TrainingTimeout.Seconds(),
		},
		Sandbox:       runstore.Sandbox{Driver: s.Sandbox, Root: s.Root, Limits: s.Limits(t)},
		PrimaryMetric: t.Primary().Name, Direction: runstore.Direction(t.Primary().Direction), Reward: s.Reward,
		Prices: e.Prices, Host: runstore.ThisHost(), GraderKey: mlgym.GraderKey(secret, t, s.Seed),
	}
	if s.Agent == "llm" {
		m.Limits.CostUSD = s.CostUSD
		m.Scaffold = s.Scaffold
	}
	if b := t.Baseline(s.Variant); b != nil {
		m.Baseline = b.Scores
	}
	return m, nil
}

// ScaffoldDigest names the text of the scaffold, "" where the agent has none.
func (e *Episode) ScaffoldDigest() string {
	if e.scaffold == nil {
		return ""
	}
	return e.scaffold.Digest()
}

// Changed names the first thing that decides scores and is not what it was when
// the run with this manifest began, "" where all is.
func (e *Episode) Changed(m runstore.Manifest) string {
	if string(e.Task.Digest) != m.TaskDigest {
		return "the task " + string(e.Task.ID)
	}
	return ChangedDigest(m.Digests, e.Provided.Digests)
}

// ChangedDigest names the first thing that is not what it was, "" where all is.
func ChangedDigest(was, is map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if now, ok := is[name]; ok && now != was[name] {
			return name
		}
	}
	return ""
}

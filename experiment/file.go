package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"mlgym/episode"
	"mlgym/internal/strictyaml"
)

// FileFormat is the version of the experiment file.
const FileFormat = 1

// File is an experiment as a person writes it: docs/format/experiment.md. The
// flags of `mlgym experiment run` have the same names. Zero fields are left to
// the defaults.
type File struct {
	Format int `yaml:"format"`
	// Name of the experiment; that of its directory where empty.
	Name string `yaml:"name,optional"`
	// Tasks are names of those that ship, or paths of folders.
	Tasks  []string `yaml:"tasks"`
	Agents []Agent  `yaml:"agents"`
	// Seeds is a number, 4 for the seeds 0 to 3, or a list of them.
	Seeds any `yaml:"seeds,optional"`
	// Settings are those of all episodes, TaskSettings of those of one task.
	Settings     Settings            `yaml:"settings,optional"`
	TaskSettings map[string]Settings `yaml:"task_settings,optional"`

	// Parallel is how many episodes run at once; 0 means as many as have room.
	Parallel int `yaml:"parallel,optional"`
	// Gradings is how many gradings run at once; 0 means one for each processor.
	Gradings int `yaml:"gradings,optional"`
	// Retries is how often an episode is tried again after faults that are not
	// the agent's; nil means 3.
	Retries *int `yaml:"retries,optional"`
	// RequestRetries is how often a busy or unreachable model server is asked
	// again within an attempt; nil means 5.
	RequestRetries *int   `yaml:"request_retries,optional"`
	Budget         Limits `yaml:"budget,optional"`
	// WithoutGPU says what happens to tasks that need a GPU on a machine
	// without one: skip, or the name of a variant that does without.
	WithoutGPU string `yaml:"without_gpu,optional"`
	// Prices is a file that extends the table of model prices.
	Prices  string  `yaml:"prices,optional"`
	Machine Machine `yaml:"machine,optional"`
	// On is where the episodes run: here where empty, or slurm.
	On    string `yaml:"on,optional"`
	Slurm Slurm  `yaml:"slurm,optional"`
}

// Agent is one of the agents that are compared.
type Agent struct {
	// Name in tables and folders; made of agent and model where empty.
	Name  string `yaml:"name,optional"`
	Agent string `yaml:"agent"`
	Model string `yaml:"model,optional"`
	// Scaffold is a name of one that ships, or the path of a file.
	Scaffold        string `yaml:"scaffold,optional"`
	BaseURL         string `yaml:"base_url,optional"`
	Responses       bool   `yaml:"responses,optional"`
	ReasoningEffort string `yaml:"reasoning_effort,optional"`
	ThinkingTokens  int    `yaml:"thinking_tokens,optional"`
	MaxTokens       int    `yaml:"max_tokens,optional"`
	RecordTokens    bool   `yaml:"record_tokens,optional"`
}

// Settings are those of episodes, as the flags of `mlgym run`; nil leaves what
// is said elsewhere.
type Settings struct {
	Mode       *string        `yaml:"mode,optional"`
	Variant    *string        `yaml:"variant,optional"`
	Reward     *string        `yaml:"reward,optional"`
	MaxSteps   *int           `yaml:"max_steps,optional"`
	CostLimit  *float64       `yaml:"cost_limit,optional"`
	TokenLimit *int64         `yaml:"token_limit,optional"`
	TimeLimit  *time.Duration `yaml:"time_limit,optional"`
	Sandbox    *string        `yaml:"sandbox,optional"`
	Root       *string        `yaml:"root,optional"`
	MemoryMB   *int64         `yaml:"memory_mb,optional"`
	DiskMB     *int64         `yaml:"disk_mb,optional"`
	Processes  *int           `yaml:"processes,optional"`
	CPUs       *float64       `yaml:"cpus,optional"`
	// GPUs is how many an episode gets; nil means what the task needs.
	GPUs *int `yaml:"gpus,optional"`
}

// Machine bounds what the experiment uses of the machine that it runs on; zero
// fields mean what there is.
type Machine struct {
	MemoryMB int64   `yaml:"memory_mb,optional"`
	CPUs     float64 `yaml:"cpus,optional"`
	GPUs     []int   `yaml:"gpus,optional"`
}

// Slurm says how episodes become jobs; docs/guide/slurm.md. Empty fields are
// left to the cluster.
type Slurm struct {
	Partition   string        `yaml:"partition,optional"`
	Account     string        `yaml:"account,optional"`
	QOS         string        `yaml:"qos,optional"`
	Constraint  string        `yaml:"constraint,optional"`
	Reservation string        `yaml:"reservation,optional"`
	Time        time.Duration `yaml:"time,optional"`
	GPUType     string        `yaml:"gpu_type,optional"`
	// Pack is how many episodes one job runs, one after the other; 0 means 1.
	Pack int `yaml:"pack,optional"`
	// Args are further flags of sbatch.
	Args []string `yaml:"args,optional"`
}

const (
	defaultRetries        = 3
	defaultRequestRetries = 5
)

// ReadFile reads an experiment file. Paths in it are relative to its folder and
// come back as absolute ones.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the experiment: %w", err)
	}
	f, err := DecodeFile(path, text)
	if err != nil {
		return nil, err
	}
	return f, f.absolute(filepath.Dir(path))
}

// DecodeFile reads the text of an experiment file; name is for its errors.
func DecodeFile(name string, text []byte) (*File, error) {
	var f File
	lines, err := strictyaml.Decode(name, text, &f)
	if err != nil {
		return nil, err
	}
	return &f, f.check(func(key, format string, args ...any) error { return lines.At(name, key, format, args...) })
}

// Check refuses what cannot be right in a File that was made otherwise than
// from text, such as from flags.
func (f *File) Check() error {
	return f.check(func(key, format string, args ...any) error {
		return fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	})
}

func (f *File) check(at func(key, format string, args ...any) error) error {
	var problems []error
	bad := func(key, format string, args ...any) { problems = append(problems, at(key, format, args...)) }
	if f.Format != FileFormat {
		bad("format", "version %d is not known; this mlgym writes %d", f.Format, FileFormat)
	}
	if len(f.Tasks) == 0 {
		bad("tasks", "an experiment needs a task: name some of \"mlgym task list\"")
	}
	if len(f.Agents) == 0 {
		bad("agents", "an experiment needs an agent: baseline, demo, or llm with a model")
	}
	if _, err := f.seeds(); err != nil {
		bad("seeds", "%v", err)
	}
	for i, id := range f.Tasks {
		if slices.Contains(f.Tasks[:i], id) {
			bad(fmt.Sprintf("tasks[%d]", i), "%s is named twice", id)
		}
	}
	names := map[string]int{}
	for i, a := range f.Agents {
		name := a.label()
		if first, taken := names[name]; taken {
			bad(fmt.Sprintf("agents[%d]", i), "agents %d and %d are both called %s: give them names", first+1, i+1, name)
		}
		names[name] = i
		if a.Agent == "human" || a.Agent == "replay" {
			bad(fmt.Sprintf("agents[%d].agent", i), "%s is no agent of an experiment: take baseline, demo or llm", a.Agent)
		}
	}
	for id := range f.TaskSettings {
		if !slices.Contains(f.Tasks, id) {
			bad("task_settings."+id, "%s is not among the tasks", id)
		}
	}
	for key, n := range map[string]float64{
		"parallel": float64(f.Parallel), "gradings": float64(f.Gradings), "budget.usd": f.Budget.USD, "budget.tokens": float64(f.Budget.Tokens), "budget.hours": f.Budget.Hours,
		"machine.memory_mb": float64(f.Machine.MemoryMB), "machine.cpus": f.Machine.CPUs, "slurm.pack": float64(f.Slurm.Pack),
	} {
		if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			bad(key, "must not be negative")
		}
	}
	for key, n := range map[string]*int{"retries": f.Retries, "request_retries": f.RequestRetries} {
		if n != nil && *n < 0 {
			bad(key, "must not be negative")
		}
	}
	if f.On != "" && f.On != "slurm" {
		bad("on", "%q is not known: leave it out to run here, or say slurm", f.On)
	}
	return errors.Join(problems...)
}

// seeds returns the seeds, in order.
func (f *File) seeds() ([]uint64, error) {
	switch s := f.Seeds.(type) {
	case nil:
		return []uint64{0}, nil
	case int:
		return f.firstSeeds(int64(s))
	case int64:
		return f.firstSeeds(s)
	case []uint64:
		return distinct(s)
	case []any:
		var out []uint64
		for _, v := range s {
			n, ok := v.(int64)
			if !ok || n < 0 {
				return nil, fmt.Errorf("want whole numbers from 0 on, got %v", v)
			}
			out = append(out, uint64(n))
		}
		return distinct(out)
	}
	return nil, errors.New("want a number, such as 4 for the seeds 0 to 3, or a list of seeds")
}

const maxSeeds = 100_000

func (f *File) firstSeeds(n int64) ([]uint64, error) {
	if n < 1 || n > maxSeeds {
		return nil, fmt.Errorf("%d seeds: want 1 to %d", n, maxSeeds)
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i) //nolint:gosec // not negative
	}
	return out, nil
}

func distinct(seeds []uint64) ([]uint64, error) {
	if len(seeds) == 0 {
		return nil, errors.New("the list of seeds is empty")
	}
	for i, s := range seeds {
		if slices.Contains(seeds[:i], s) {
			return nil, fmt.Errorf("seed %d is named twice", s)
		}
	}
	return seeds, nil
}

// label is the agent's name in the experiment.
func (a Agent) label() string {
	switch {
	case a.Name != "":
		return a.Name
	case a.Model != "":
		return a.Model
	}
	return a.Agent
}

// MaxRetries is how often an episode is tried again after faults.
func (f *File) MaxRetries() int {
	if f.Retries == nil {
		return defaultRetries
	}
	return *f.Retries
}

// MaxRequestRetries is how often a model server is asked again within an attempt.
func (f *File) MaxRequestRetries() int {
	if f.RequestRetries == nil {
		return defaultRequestRetries
	}
	return *f.RequestRetries
}

// absolute makes the paths of the file independent of the working directory.
func (f *File) absolute(base string) error {
	for i, t := range f.Tasks {
		if !strings.ContainsRune(t, filepath.Separator) {
			continue
		}
		path, err := resolve(base, t)
		if err != nil {
			return err
		}
		if s, ok := f.TaskSettings[t]; ok {
			delete(f.TaskSettings, t)
			f.TaskSettings[path] = s
		}
		f.Tasks[i] = path
	}
	for i := range f.Agents {
		a := &f.Agents[i]
		if strings.HasSuffix(a.Scaffold, ".yaml") || strings.ContainsRune(a.Scaffold, filepath.Separator) {
			path, err := resolve(base, a.Scaffold)
			if err != nil {
				return err
			}
			a.Scaffold = path
		}
	}
	if f.Prices != "" {
		path, err := resolve(base, f.Prices)
		if err != nil {
			return err
		}
		f.Prices = path
	}
	return nil
}

func resolve(base, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	return filepath.Abs(path)
}

// Encode writes the file as YAML, without the fields that are zero.
func (f *File) Encode() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# An experiment of mlgym, as it was asked for.\n")
	text, err := yaml.Marshal(plain(reflect.ValueOf(*f)))
	out.Write(text)
	return out.Bytes(), err
}

// plain turns a value into maps and lists in the order of the fields.
func plain(v reflect.Value) any {
	switch v.Kind() { //nolint:exhaustive // all others are plain already
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		var out yaml.MapSlice
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if !v.Field(i).IsZero() {
				out = append(out, yaml.MapItem{Key: name, Value: plain(v.Field(i))})
			}
		}
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	case reflect.Map:
		var out yaml.MapSlice
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			out = append(out, yaml.MapItem{Key: k.String(), Value: plain(v.MapIndex(k))})
		}
		return out
	}
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return d.String()
	}
	if x, ok := reflect.TypeAssert[float64](v); ok {
		return decimal(x)
	}
	return v.Interface()
}

// decimal is a number that is written without an exponent, which would be read
// as text.
type decimal float64

// MarshalYAML implements [yaml.BytesMarshaler].
func (d decimal) MarshalYAML() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d), 'f', -1, 64), nil
}

// spec joins what is said of the episodes of one task and one agent.
func (f *File) spec(taskName string, a Agent) episode.Spec {
	s := episode.Default()
	s.Task = taskName
	s.Agent, s.Model = a.Agent, a.Model
	if a.Scaffold != "" {
		s.Scaffold = a.Scaffold
	}
	s.BaseURL, s.Responses, s.Reasoning = a.BaseURL, a.Responses, a.ReasoningEffort
	s.ThinkingTokens, s.MaxTokens, s.RecordTokens = a.ThinkingTokens, a.MaxTokens, a.RecordTokens
	f.Settings.apply(&s)
	f.TaskSettings[taskName].apply(&s)
	return s
}

func (s Settings) apply(to *episode.Spec) {
	set(&to.Mode, s.Mode)
	set(&to.Variant, s.Variant)
	set(&to.Reward, s.Reward)
	set(&to.MaxSteps, s.MaxSteps)
	set(&to.CostUSD, s.CostLimit)
	if s.CostLimit != nil {
		to.CostIfKnown = false
	}
	set(&to.Tokens, s.TokenLimit)
	set(&to.Wall, s.TimeLimit)
	set(&to.Sandbox, s.Sandbox)
	set(&to.Root, s.Root)
	if s.MemoryMB != nil {
		to.Box.MemoryBytes = *s.MemoryMB << 20
	}
	if s.DiskMB != nil {
		to.Box.DiskBytes = *s.DiskMB << 20
	}
	set(&to.Box.Processes, s.Processes)
	set(&to.Box.CPUs, s.CPUs)
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// gpus is how many GPUs the settings ask for, nil where they do not say.
func (f *File) gpus(taskName string) *int {
	if n := f.TaskSettings[taskName].GPUs; n != nil {
		return n
	}
	return f.Settings.GPUs
}

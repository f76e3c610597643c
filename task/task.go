package task

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
	"mlgym/sandbox"
)

// ID names a task, such as "prisonersDilemma".
type ID string

// Digest is "sha256:" and 64 hexadecimal digits over the files that decide
// what a task is; see [Task].
type Digest string

// Direction says which values of a metric are better.
type Direction string

// The directions.
const (
	Maximize Direction = "maximize"
	Minimize Direction = "minimize"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Direction) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(d, text, Maximize, Minimize)
}

// Metric is one number that the grader gives.
type Metric struct {
	Name string `yaml:"name"`
	// Unit is "" for pure numbers.
	Unit      string    `yaml:"unit,optional"`
	Direction Direction `yaml:"direction"`
	// Min and Max are hard bounds: a value outside them is a fault of the
	// grader and never a score. Nil means none.
	Min *float64 `yaml:"min,optional"`
	Max *float64 `yaml:"max,optional"`
	// Alarm is a value that honest work does not reach: a score beyond it (on
	// the better side) stands, and is marked. Nil means none.
	Alarm *float64 `yaml:"alarm,optional"`
}

// Better reports whether a is strictly better than b.
func (m Metric) Better(a, b float64) bool {
	if m.Direction == Minimize {
		return a < b
	}
	return a > b
}

// Suspicious reports whether a value lies beyond the metric's alarm.
func (m Metric) Suspicious(value float64) bool {
	return m.Alarm != nil && m.Better(value, *m.Alarm)
}

// Kind says what a submission is.
type Kind string

// The kinds of submission.
const (
	// Program is code that runs in a player sandbox and answers the grader.
	Program Kind = "program"
	// Files are data that the grader reads.
	Files Kind = "files"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *Kind) UnmarshalText(text []byte) error { return strictyaml.OneOf(k, text, Program, Files) }

// MaxFolderFiles is how many files a folder that is handed in may have.
const MaxFolderFiles = 10_000

// SubmissionFile is one file, or folder, that the agent hands in.
type SubmissionFile struct {
	// Path is relative to the workspace, with forward slashes. One that ends in a
	// slash is a folder with all that is in it, "./" the whole workspace.
	Path string `yaml:"path"`
	// MaxBytes bounds its size, that of all its files where it is a folder.
	MaxBytes int64 `yaml:"max_bytes"`
	// Binary says of a file of a program that it is no text.
	Binary bool `yaml:"binary,optional"`
	// Optional files may be missing.
	Optional bool `yaml:"optional,optional"`
}

// Folder reports whether a folder is handed in: at most [MaxFolderFiles] regular
// files, without the links among them.
func (f SubmissionFile) Folder() bool { return strings.HasSuffix(f.Path, "/") }

// Submission is what the agent hands in: exactly these files.
type Submission struct {
	Kind  Kind             `yaml:"kind"`
	Files []SubmissionFile `yaml:"files"`
}

// Mode says on what the two evaluations are made. Scores of different modes
// are never compared.
type Mode string

// The modes.
const (
	// Hardened validates on a hidden validation split, or on seeds that are the
	// same for all validations of a run, and submits on another, once.
	Hardened Mode = "hardened"
	// Published validates on what submit scores, with fresh seeds each time,
	// as the original benchmark does.
	Published Mode = "published"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Mode) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(m, text, Hardened, Published)
}

// The names of the variants that every task should have.
const (
	// Full is the variant whose scores may be compared with published ones.
	Full = "full"
	// Small is a quick one, for tests and for looking around.
	Small = "small"
)

// Variant is a size of the task. Scores of different variants are never
// compared.
type Variant struct {
	Summary string `yaml:"summary"`
	// Parameters are handed to the grader as they are.
	Parameters map[string]any `yaml:"parameters,optional"`
	// GPUs is how many an agent needs to do the task as it is meant.
	GPUs int `yaml:"gpus,optional"`
	// Baseline and Reference are those of this variant. Where it has neither,
	// the task's are taken.
	Baseline  *Measured `yaml:"baseline,optional"`
	Reference *Measured `yaml:"reference,optional"`
}

// Measured is a score with where it comes from.
type Measured struct {
	Scores gym.Scores `yaml:"scores"`
	// Origin says how the scores were got: seeds, hardware, source.
	Origin string `yaml:"origin"`
}

// Range is a closed interval.
type Range struct {
	Low  float64 `yaml:"low"`
	High float64 `yaml:"high"`
}

// Clip returns the value of the range that is nearest to v.
func (r Range) Clip(v float64) float64 { return min(max(v, r.Low), r.High) }

// World bounds one of the sandboxes that grading uses.
type World struct {
	MemoryBytes int64   `yaml:"memory_bytes,optional"`
	Processes   int     `yaml:"processes,optional"`
	CPUs        float64 `yaml:"cpus,optional"`
	DiskBytes   int64   `yaml:"disk_bytes,optional"`
}

// Limits are those of a sandbox; fields that the task does not set are zero
// and mean the sandbox's own defaults.
func (w World) Limits() sandbox.Limits {
	return sandbox.Limits{
		MemoryBytes: w.MemoryBytes,
		Processes:   w.Processes,
		CPUs:        w.CPUs,
		DiskBytes:   w.DiskBytes,
	}
}

// Player bounds the sandbox that a program runs in, and its answers.
type Player struct {
	World World `yaml:"limits,optional"`
	// StartTimeout bounds loading the program.
	StartTimeout time.Duration `yaml:"start_timeout"`
	// AnswerTimeout bounds each single answer.
	AnswerTimeout time.Duration `yaml:"answer_timeout"`
	// TotalTimeout bounds the time waited for answers in one grading.
	TotalTimeout time.Duration `yaml:"total_timeout"`
	// MaxAnswerBytes bounds one answer.
	MaxAnswerBytes int64 `yaml:"max_answer_bytes"`
}

// Grading bounds the grader.
type Grading struct {
	// Timeout bounds one grading as a whole, players included.
	Timeout time.Duration `yaml:"timeout"`
	World   World         `yaml:"limits,optional"`
	// Links are those of the grader's sandbox beside the task's.
	Links map[string]string `yaml:"links,optional"`
	// Player is nil for submissions that are not programs.
	Player *Player `yaml:"player,optional"`
}

// Task is one task, as loaded. It is not changed after loading and is safe for
// concurrent use.
type Task struct {
	ID      ID
	Version int
	Name    string
	Summary string
	// Description is what the agent reads, as Markdown.
	Description string
	// Readme is what a researcher reads, as Markdown.
	Readme     string
	Submission Submission
	// Metrics are what the grader gives; the first is the primary one.
	Metrics []Metric
	// PublishedBaseline is the baseline's score in the literature, or nil.
	PublishedBaseline *Measured
	// Environment names the Python environment of all three worlds; "" means
	// the Python of the root file system.
	Environment string
	// Datasets are shown in the variant that has the name of the task's.
	Datasets []string
	// BaselineCommand makes, in a fresh workspace, the submission that the
	// baseline's score belongs to; "" means that it lies there already.
	BaselineCommand string
	// Limits of the agent's sandbox that the task needs.
	Limits World
	// Links are symbolic links of the agent's and the grader's sandbox, by their
	// absolute path; see [sandbox.Spec].
	Links map[string]string
	// Env are variables of the agent's sandbox.
	Env map[string]string
	// RewardRange is what the normalised score is clipped to.
	RewardRange Range
	// TrainingTimeout bounds a command of the agent that runs a training
	// program; CommandTimeout bounds all others.
	TrainingTimeout time.Duration
	CommandTimeout  time.Duration
	Modes           []Mode
	Variants        map[string]Variant
	Grading         Grading
	// Digest covers all files of the folder except README.md, tests/ and what
	// Python leaves behind: what is not covered does not change the task.
	Digest Digest

	folder fs.FS
	// baseline and reference of variants that have none of their own.
	baseline, reference *Measured
}

// Primary is the metric that ranks.
func (t *Task) Primary() Metric { return t.Metrics[0] }

// Metric finds a metric by name.
func (t *Task) Metric(name string) (Metric, bool) {
	i := slices.IndexFunc(t.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return t.Metrics[i], true
}

// Baseline is our own measurement of the baseline in a variant, nil where there
// is none.
func (t *Task) Baseline(variant string) *Measured {
	if v := t.Variants[variant]; v.measured() {
		return v.Baseline
	}
	return t.baseline
}

// Reference is a good score in a variant, nil where there is none.
func (t *Task) Reference(variant string) *Measured {
	if v := t.Variants[variant]; v.measured() {
		return v.Reference
	}
	return t.reference
}

// measured says that the variant has measurements of its own: those of another
// variant are then no yardstick.
func (v Variant) measured() bool { return v.Baseline != nil || v.Reference != nil }

// Normalise turns a score of the primary metric into
// n = (score − baseline) / (reference − baseline), clipped to the task's reward
// range: 0 is as good as the variant's baseline, 1 as good as its reference,
// whatever the direction of the metric. It reports false where either is
// missing.
func (t *Task) Normalise(variant string, score float64) (n float64, ok bool) {
	baseline, reference := t.Baseline(variant), t.Reference(variant)
	if baseline == nil || reference == nil {
		return 0, false
	}
	base, ref := baseline.Scores[t.Primary().Name], reference.Scores[t.Primary().Name]
	return t.RewardRange.Clip((score - base) / (ref - base)), true
}

// Variant finds a variant by name; the error lists the nearest names.
func (t *Task) Variant(name string) (Variant, error) {
	v, ok := t.Variants[name]
	if !ok {
		known := t.VariantNames()
		return Variant{}, fmt.Errorf("task %s has no variant %q%s (it has %s)",
			t.ID, name, nearest.Hint(name, known), strings.Join(known, ", "))
	}
	return v, nil
}

// VariantNames lists the variants: full and small first, then the others.
func (t *Task) VariantNames() []string {
	var names []string
	for name := range t.Variants {
		names = append(names, name)
	}
	rank := func(name string) int { return slices.Index([]string{Small, Full}, name) }
	slices.SortFunc(names, func(a, b string) int {
		if rank(a) != rank(b) {
			return rank(b) - rank(a)
		}
		return strings.Compare(a, b)
	})
	return names
}

// HasMode reports whether the task can be run in a mode.
func (t *Task) HasMode(m Mode) bool { return slices.Contains(t.Modes, m) }

// Starter is what the agent finds in its workspace.
func (t *Task) Starter() (fs.FS, error) { return t.sub("starter") }

// GraderFiles is the folder with grade.py. It never enters an agent's or a
// player's sandbox.
func (t *Task) GraderFiles() (fs.FS, error) { return t.sub("grader") }

// OwnDatasets is the folder of data sets that come with the task, in whose place
// those that ship with mlgym are used where it is missing.
func (t *Task) OwnDatasets() (fs.FS, bool) { return t.own("datasets") }

// OwnEnvironments is the folder of Python environments that come with the task.
func (t *Task) OwnEnvironments() (fs.FS, bool) { return t.own("environments") }

func (t *Task) own(dir string) (fs.FS, bool) {
	if info, err := fs.Stat(t.folder, dir); err != nil || !info.IsDir() {
		return nil, false
	}
	sub, err := fs.Sub(t.folder, dir)
	return sub, err == nil
}

func (t *Task) sub(dir string) (fs.FS, error) {
	sub, err := fs.Sub(t.folder, dir)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	return sub, nil
}

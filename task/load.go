package task

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/internal/strictyaml"
	"mlgym/sandbox"
)

// Format is the version of task.yaml that this program reads.
const Format = 1

// FileName is the name of the file that makes a folder a task.
const FileName = "task.yaml"

// spec is task.yaml as written.
type spec struct {
	Format            int                `yaml:"format"`
	ID                ID                 `yaml:"id"`
	Version           int                `yaml:"version"`
	Name              string             `yaml:"name"`
	Summary           string             `yaml:"summary"`
	Submission        Submission         `yaml:"submission"`
	Metrics           []Metric           `yaml:"metrics"`
	PublishedBaseline *Measured          `yaml:"published_baseline,optional"`
	Baseline          *Measured          `yaml:"baseline,optional"`
	Reference         *Measured          `yaml:"reference,optional"`
	RewardRange       *Range             `yaml:"reward_range,optional"`
	TrainingTimeout   time.Duration      `yaml:"training_timeout"`
	CommandTimeout    time.Duration      `yaml:"command_timeout,optional"`
	Modes             []Mode             `yaml:"modes"`
	Variants          map[string]Variant `yaml:"variants"`
	Grading           Grading            `yaml:"grading"`
	Environment       string             `yaml:"environment,optional"`
	Datasets          []string           `yaml:"datasets,optional"`
	BaselineCommand   string             `yaml:"baseline_command,optional"`
	Limits            World              `yaml:"limits,optional"`
	Links             map[string]string  `yaml:"links,optional"`
	Env               map[string]string  `yaml:"env,optional"`
}

// defaults of what task.yaml may leave out.
var (
	defaultRange   = Range{Low: -1, High: 1.5}
	defaultCommand = 25 * time.Second
)

// Load reads the task in the folder dir of fsys. dir is "." for the root. The
// error joins one [*strictyaml.Error] per problem of the file.
func Load(fsys fs.FS, dir string) (*Task, error) {
	folder, err := fs.Sub(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("load task: %w", err)
	}
	name := path.Join(dir, FileName)
	data, err := fs.ReadFile(folder, FileName)
	if err != nil {
		return nil, fmt.Errorf("load task: no %s: %w", name, err)
	}
	var s spec
	lines, err := strictyaml.Decode(name, data, &s)
	if err != nil {
		return nil, fmt.Errorf("load task: %w", err)
	}
	check := checker{file: name, lines: lines}
	check.spec(&s)
	check.folder(folder)
	if len(check.problems) > 0 {
		return nil, fmt.Errorf("load task: %w", errors.Join(check.problems...))
	}
	t := &Task{
		ID:                s.ID,
		Version:           s.Version,
		Name:              s.Name,
		Summary:           s.Summary,
		Submission:        s.Submission,
		Metrics:           s.Metrics,
		PublishedBaseline: s.PublishedBaseline,
		Environment:       s.Environment,
		Datasets:          s.Datasets,
		BaselineCommand:   s.BaselineCommand,
		Limits:            s.Limits,
		Links:             s.Links,
		Env:               s.Env,
		RewardRange:       defaultRange,
		TrainingTimeout:   s.TrainingTimeout,
		CommandTimeout:    defaultCommand,
		Modes:             s.Modes,
		Variants:          s.Variants,
		Grading:           s.Grading,
		folder:            folder,
		baseline:          s.Baseline,
		reference:         s.Reference,
	}
	if s.RewardRange != nil {
		t.RewardRange = *s.RewardRange
	}
	if s.CommandTimeout > 0 {
		t.CommandTimeout = s.CommandTimeout
	}
	for file, dst := range map[string]*string{"description.md": &t.Description, "README.md": &t.Readme} {
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("load task %s: %w", t.ID, err)
		}
		*dst = string(text)
	}
	if t.Digest, err = digest(folder); err != nil {
		return nil, fmt.Errorf("load task %s: %w", t.ID, err)
	}
	return t, nil
}

// checker collects what is wrong with a file that could be decoded.
type checker struct {
	file     string
	lines    strictyaml.Lines
	problems []error
}

func (c *checker) fail(key, format string, args ...any) {
	c.problems = append(c.problems, c.lines.At(c.file, key, format, args...))
}

var (
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	variantPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	envPattern     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (c *checker) spec(s *spec) {
	if s.Format != Format {
		c.fail("format", "this program reads format %d, not %d", Format, s.Format)
	}
	if !idPattern.MatchString(string(s.ID)) {
		c.fail("id", "want letters, digits, - and _, at most 64, got %q", s.ID)
	}
	if s.Version < 1 {
		c.fail("version", "want 1 or more, got %d", s.Version)
	}
	for key, text := range map[string]string{"name": s.Name, "summary": s.Summary} {
		if strings.TrimSpace(text) == "" || strings.Contains(text, "\n") {
			c.fail(key, "want one line of text")
		}
	}
	c.submission(s)
	c.metrics(s.Metrics)
	if s.PublishedBaseline != nil {
		// It may lack the primary metric, where that was mended since.
		c.known("published_baseline.scores", s.PublishedBaseline.Scores, s.Metrics)
	}
	c.measured("", s.Baseline, s.Reference, s.Metrics)
	for name, v := range s.Variants {
		c.measured("variants."+name+".", v.Baseline, v.Reference, s.Metrics)
		if v.GPUs < 0 {
			c.fail("variants."+name+".gpus", "must not be negative")
		}
	}
	c.reward(s.RewardRange)
	c.provisions(s)
	if s.TrainingTimeout == 0 {
		c.fail("training_timeout", "want a time above 0")
	}
	if len(s.Modes) == 0 {
		c.fail("modes", "want at least one of hardened, published")
	}
	for i, m := range s.Modes {
		if slices.Contains(s.Modes[:i], m) {
			c.fail(fmt.Sprintf("modes[%d]", i), "%s stands twice", m)
		}
	}
	if len(s.Variants) == 0 {
		c.fail("variants", "want at least one")
	}
	for name := range s.Variants {
		if !variantPattern.MatchString(name) {
			c.fail("variants."+name, "a variant's name is of small letters, digits, - and _")
		}
	}
	c.grading(s)
}

func (c *checker) submission(of *spec) {
	s := &of.Submission
	if len(s.Files) == 0 {
		c.fail("submission.files", "want at least one file")
	}
	seen := map[string]bool{}
	for i, f := range s.Files {
		key := fmt.Sprintf("submission.files[%d]", i)
		name := f.Path
		if f.Folder() && name != "./" {
			name = strings.TrimSuffix(name, "/")
		}
		if name != "./" && (!fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00\n")) {
			c.fail(key+".path", "want a path inside the workspace, with / and without .. (a folder ends in /, ./ is all of it), got %q", f.Path)
		}
		if f.Path == "./" && (len(s.Files) > 1 || len(of.Datasets) > 0) {
			c.fail(key+".path", "the whole workspace can only be handed in alone, and where no data set lies in it")
		}
		if seen[f.Path] {
			c.fail(key+".path", "%s stands twice", f.Path)
		}
		seen[f.Path] = true
		if f.MaxBytes < 1 {
			c.fail(key+".max_bytes", "want 1 or more, got %d", f.MaxBytes)
		}
		if f.Binary && s.Kind != Program {
			c.fail(key+".binary", "only files of a program are text without it")
		}
	}
	// A grader of data may score it that nothing was handed in.
	if len(s.Files) > 0 && s.Kind == Program && !slices.ContainsFunc(s.Files, func(f SubmissionFile) bool { return !f.Optional }) {
		c.fail("submission.files", "want at least one that is not optional")
	}
}

func (c *checker) metrics(metrics []Metric) {
	if len(metrics) == 0 {
		c.fail("metrics", "want at least one; the first is the primary one")
	}
	seen := map[string]bool{}
	for i, m := range metrics {
		key := fmt.Sprintf("metrics[%d]", i)
		if strings.TrimSpace(m.Name) == "" {
			c.fail(key+".name", "want a name")
		}
		if seen[m.Name] {
			c.fail(key+".name", "%s stands twice", m.Name)
		}
		seen[m.Name] = true
		if m.Min != nil && m.Max != nil && *m.Min >= *m.Max {
			c.fail(key+".max", "want more than min (%g), got %g", *m.Min, *m.Max)
		}
	}
}

// scores checks that scores have the primary metric, no unknown one, and that
// all are within the hard bounds.
func (c *checker) scores(key string, scores gym.Scores, metrics []Metric) {
	if len(metrics) == 0 {
		return
	}
	if _, ok := scores[metrics[0].Name]; !ok {
		c.fail(key, "the primary metric %s is missing", metrics[0].Name)
	}
	c.known(key, scores, metrics)
}

// known checks that scores have no unknown metric, and that all are within the
// hard bounds.
func (c *checker) known(key string, scores gym.Scores, metrics []Metric) {
	for name, value := range scores {
		i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
		if i < 0 {
			c.fail(key+"."+name, "no metric has this name")
			continue
		}
		if err := metrics[i].Check(value); err != nil {
			c.fail(key+"."+name, "%v", err)
		}
	}
}

// measured checks a baseline and a reference that belong together.
func (c *checker) measured(key string, baseline, reference *Measured, metrics []Metric) {
	for name, m := range map[string]*Measured{"baseline": baseline, "reference": reference} {
		if m != nil {
			c.scores(key+name+".scores", m.Scores, metrics)
		}
	}
	if baseline == nil || reference == nil || len(metrics) == 0 {
		return
	}
	m := metrics[0]
	base, ref := baseline.Scores[m.Name], reference.Scores[m.Name]
	if !m.Better(ref, base) {
		c.fail(key+"reference.scores."+m.Name, "want a better value than the baseline's %g (%s), got %g", base, m.Direction, ref)
	}
}

func (c *checker) reward(r *Range) {
	if r != nil && (r.Low > 0 || r.High < 1) {
		c.fail("reward_range", "want a range that has 0 (the baseline) and 1 (the reference) in it, got %g to %g", r.Low, r.High)
	}
}

// provisions checks the names of what a task is given; whether there is
// something of that name is seen when it is looked for.
func (c *checker) provisions(s *spec) {
	if s.Environment != "" && !idPattern.MatchString(s.Environment) {
		c.fail("environment", "want the name of an environment, got %q", s.Environment)
	}
	for i, id := range s.Datasets {
		key := fmt.Sprintf("datasets[%d]", i)
		if !idPattern.MatchString(id) {
			c.fail(key, "want the id of a data set, got %q", id)
		}
		if slices.Contains(s.Datasets[:i], id) {
			c.fail(key, "%s stands twice", id)
		}
	}
	if strings.Contains(s.BaselineCommand, "\n") {
		c.fail("baseline_command", "want one line")
	}
	for key, links := range map[string]map[string]string{"links": s.Links, "grading.links": s.Grading.Links} {
		for link, target := range links {
			if err := sandbox.CheckLink(link, target); err != nil {
				c.fail(key+"."+link, "%v", err)
			}
		}
	}
	for name := range s.Env {
		if !envPattern.MatchString(name) || slices.Contains(ownVariables, name) || strings.HasPrefix(name, "MLGYM_") {
			c.fail("env."+name, "want the name of a variable that no sandbox sets itself")
		}
	}
}

// ownVariables are set by every sandbox.
var ownVariables = []string{"PATH", "HOME", "USER", "LANG", "SHELL"}

func (c *checker) grading(s *spec) {
	g := s.Grading
	if g.Timeout == 0 {
		c.fail("grading.timeout", "want a time above 0")
	}
	switch {
	case s.Submission.Kind == Program && g.Player == nil:
		c.fail("grading.player", "missing; a submission of kind program needs it")
		return
	case s.Submission.Kind != Program && g.Player != nil:
		c.fail("grading.player", "only a submission of kind program has a player")
		return
	case g.Player == nil:
		return
	}
	p := g.Player
	for key, d := range map[string]time.Duration{
		"start_timeout": p.StartTimeout, "answer_timeout": p.AnswerTimeout, "total_timeout": p.TotalTimeout,
	} {
		if d == 0 {
			c.fail("grading.player."+key, "want a time above 0")
		}
	}
	if p.TotalTimeout >= g.Timeout {
		c.fail("grading.player.total_timeout", "want less than grading.timeout (%s), got %s", g.Timeout, p.TotalTimeout)
	}
	if p.MaxAnswerBytes < 1 || p.MaxAnswerBytes > 64<<20 {
		c.fail("grading.player.max_answer_bytes", "want 1 to %d, got %d", 64<<20, p.MaxAnswerBytes)
	}
}

// Check returns an error where a value is not finite or lies outside the hard
// bounds of the metric.
func (m Metric) Check(value float64) error {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return fmt.Errorf("%s is %v, which is not a finite number", m.Name, value)
	case m.Min != nil && value < *m.Min:
		return fmt.Errorf("%s is %v, which is below its bound %v", m.Name, value, *m.Min)
	case m.Max != nil && value > *m.Max:
		return fmt.Errorf("%s is %v, which is above its bound %v", m.Name, value, *m.Max)
	}
	return nil
}

// folder checks the files beside task.yaml.
func (c *checker) folder(folder fs.FS) {
	for _, file := range []string{"README.md", "description.md", "grader/grade.py"} {
		if info, err := fs.Stat(folder, file); err != nil || !info.Mode().IsRegular() {
			c.problems = append(c.problems, &strictyaml.Error{File: c.file, Message: "the task has no file " + file})
		}
	}
	if info, err := fs.Stat(folder, "starter"); err != nil || !info.IsDir() {
		c.problems = append(c.problems, &strictyaml.Error{File: c.file, Message: "the task has no folder starter"})
	}
}

// digest covers path and content of each file that decides what the task is.
func digest(folder fs.FS) (Digest, error) {
	var files []string
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name == "tests" || skipped(d.Name()) {
				return fs.SkipDir
			}
		case name == "README.md" || skipped(d.Name()):
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", name)
		default:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	sum := sha256.New()
	for _, name := range files {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
		sum.Write(data)
	}
	return Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), nil
}

// skipped says which files are no part of a task: hidden ones and those that
// Python writes.
func skipped(base string) bool {
	return base != "." && strings.HasPrefix(base, ".") || base == "__pycache__" || strings.HasSuffix(base, ".pyc")
}

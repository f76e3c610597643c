package taskimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"mlgym/internal/atomicfile"
	"mlgym/task"
)

// tree is a folder that is to be written.
type tree struct{ files map[string]content }

// content is a text, or a file to be copied.
type content struct {
	text []byte
	from given
}

func newTree() *tree { return &tree{files: map[string]content{}} }

func (t *tree) text(name, text string) { t.files[name] = content{text: []byte(text)} }

func (t *tree) json(name string, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // of our own values
	t.text(name, b.String())
}

func (t *tree) file(name string, from given) { t.files[name] = content{from: from} }

// write makes the folder below out, all of it or nothing, and checks that it is a
// task.
func (t *tree) write(out, id string) (_ string, err error) {
	folder := filepath.Join(out, id)
	if _, err := os.Lstat(folder); err == nil {
		return "", fmt.Errorf("%s exists already: remove it, or give another place with --out DIR", folder)
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // a task is for reading
		return "", fmt.Errorf("make the folder of the task: %w", err)
	}
	work, err := os.MkdirTemp(out, ".import-")
	if err != nil {
		return "", fmt.Errorf("make the folder of the task: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	partial := filepath.Join(work, id)
	for name, c := range t.files {
		if err := c.write(filepath.Join(partial, filepath.FromSlash(name))); err != nil {
			return "", fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(partial, "starter"), 0o755); err != nil { //nolint:gosec // a task is for reading
		return "", err
	}
	if _, err := task.Load(os.DirFS(work), id); err != nil {
		return "", fmt.Errorf("what was written is no task of ours: %w", err)
	}
	if err := os.Rename(partial, folder); err != nil {
		return "", fmt.Errorf("make the folder of the task: %w", err)
	}
	return folder, atomicfile.SyncDir(out)
}

func (c content) write(at string) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // a task is for reading
		return err
	}
	if c.from.at == "" {
		return os.WriteFile(at, c.text, 0o644) //nolint:gosec // a task is for reading
	}
	in, err := os.Open(c.from.at)
	if err != nil {
		return err
	}
	defer in.Close()
	mode := fs.FileMode(0o644)
	if c.from.executable {
		mode = 0o755
	}
	out, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// idOf makes an id of a name.
func idOf(name string) string {
	id := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(name, "-")
	id = strings.Trim(id, "-_")
	return id[:min(len(id), 64)]
}

// quote writes text as YAML reads it back, on one line.
func quote(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // text can always be encoded
	return strings.TrimSpace(b.String())
}

// oneLine is the beginning of a text, on one line.
func oneLine(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i > 20 {
		text = text[:i+1]
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// duration writes seconds as task.yaml reads them.
func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// settings is grader/foreign.json; mlgym_grader.foreign reads it.
type settings struct {
	Kind           string            `json:"kind"`
	Metrics        []string          `json:"metrics"`
	TimeoutSeconds float64           `json:"timeout_seconds"`
	Whole          bool              `json:"whole,omitempty"`
	Restored       []string          `json:"restored,omitempty"`
	Data           string            `json:"data,omitempty"`
	Script         string            `json:"script,omitempty"`
	Arguments      []string          `json:"arguments,omitempty"`
	Module         []string          `json:"module,omitempty"`
	FirstYAML      string            `json:"first_yaml,omitempty"`
	Env            map[string]string `json:"env,omitempty"`
	Folders        []string          `json:"folders,omitempty"`
}

// gradePy is grader/grade.py of every imported task.
const gradePy = `"""Grades with the evaluation that came with the task: foreign.json says how it is run."""

from __future__ import annotations

from pathlib import Path

from mlgym_grader import Result, Session, foreign


def grade(session: Session) -> Result:
    """Return what the task's own evaluation says of the submission."""
    return foreign.grade(session, Path(__file__).parent)
`

// spec is what task.yaml says.
type spec struct {
	id, name, summary string
	environment       string
	datasets          []string
	baselineCommand   string
	files             []task.SubmissionFile
	metrics           []task.Metric
	baseline          map[string]float64
	baselineOrigin    string
	reference         map[string]float64
	referenceOrigin   string
	env               map[string]string
	links             map[string]string
	gradingLinks      map[string]string
	world             task.World
	training, command float64 // seconds
	evaluation        float64 // seconds
}

// whole reports whether the whole workspace is handed in.
func (s *spec) whole() bool { return len(s.files) == 1 && s.files[0].Path == "./" }

// yaml is the text of task.yaml.
func (s *spec) yaml(from string) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("# Imported from %s by mlgym task import; IMPORT.md says what became of its keys.\n", from)
	p("format: 1\nid: %s\nversion: 1\nname: %s\nsummary: %s\n\n", s.id, quote(s.name), quote(s.summary))
	if s.environment != "" {
		p("environment: %s\n", s.environment)
	}
	if len(s.datasets) > 0 {
		p("datasets: [%s]\n", strings.Join(s.datasets, ", "))
	}
	if s.baselineCommand != "" {
		p("baseline_command: %s\n", quote(s.baselineCommand))
	}
	if w := worldYAML(s.world); w != "" {
		p("limits: %s\n", w)
	}
	p("%s%s", mapYAML("env", s.env, ""), mapYAML("links", s.links, ""))
	p("\nsubmission:\n  kind: files\n  files:\n")
	for _, f := range s.files {
		p("    - path: %s\n      max_bytes: %d\n", quote(f.Path), f.MaxBytes)
		if f.Optional {
			p("      optional: true\n")
		}
	}
	p("\nmetrics:\n")
	for _, m := range s.metrics {
		p("  - name: %s\n    direction: %s\n", quote(m.Name), m.Direction)
	}
	p("\n%s%s", measuredYAML("baseline", s.baseline, s.baselineOrigin), measuredYAML("reference", s.reference, s.referenceOrigin))
	p("training_timeout: %s\n", duration(s.training))
	if s.command > 0 {
		p("command_timeout: %s\n", duration(s.command))
	}
	p("# validate and submit run the same evaluation, as where the task is from.\nmodes: [published]\n\n")
	p("variants:\n  full:\n    summary: as it was imported\n\n")
	p("grading:\n  # The evaluation's own limit is in grader/foreign.json; this one is for all that is around it, too.\n  timeout: %s\n", duration(s.evaluation+60))
	if w := worldYAML(s.world); w != "" {
		p("  limits: %s\n", w)
	}
	p("%s", mapYAML("links", s.gradingLinks, "  "))
	return b.String()
}

func worldYAML(w task.World) string {
	var keys []string
	if w.MemoryBytes > 0 {
		keys = append(keys, fmt.Sprintf("memory_bytes: %d", w.MemoryBytes))
	}
	if w.CPUs > 0 {
		keys = append(keys, fmt.Sprintf("cpus: %g", w.CPUs))
	}
	if w.DiskBytes > 0 {
		keys = append(keys, fmt.Sprintf("disk_bytes: %d", w.DiskBytes))
	}
	if len(keys) == 0 {
		return ""
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func mapYAML(key string, m map[string]string, indent string) string {
	if len(m) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s:\n", indent, key)
	for _, k := range sorted(m) {
		fmt.Fprintf(&b, "%s  %s: %s\n", indent, quote(k), quote(m[k]))
	}
	return b.String()
}

func measuredYAML(key string, scores map[string]float64, origin string) string {
	if len(scores) == 0 {
		return ""
	}
	var list []string
	for _, name := range sorted(scores) {
		list = append(list, fmt.Sprintf("%s: %s", quote(name), number(scores[name])))
	}
	return fmt.Sprintf("%s:\n  scores: {%s}\n  origin: %s\n", key, strings.Join(list, ", "), quote(origin))
}

// number writes a number that YAML takes for one.
func number(v float64) string {
	text := fmt.Sprintf("%.17g", v)
	if short := fmt.Sprintf("%g", v); !strings.ContainsAny(short, "e") {
		text = short
	}
	if strings.Contains(text, "e") && !strings.Contains(text, ".") {
		text = strings.Replace(text, "e", ".0e", 1)
	}
	return text
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package taskcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"mlgym/internal/strictyaml"
)

// Format is the version of check.yaml that this program reads.
const Format = 1

// FileName is the file of a task's tests that says what is expected.
const FileName = "check.yaml"

// spec is check.yaml.
type spec struct {
	Format int `yaml:"format"`
	// CheatLimit is what no cheat may score better than.
	CheatLimit float64 `yaml:"cheat_limit"`
	// Tolerance is how far the baseline may be from the task's own figure.
	Tolerance float64 `yaml:"tolerance"`
	// Repeat is how far two gradings of one submission may differ.
	Repeat float64 `yaml:"repeat"`
	// CheatParameters take the place of the variant's parameters of the same
	// names where null and cheats are graded: a smaller grading shows as much.
	CheatParameters map[string]any `yaml:"cheat_parameters,optional"`
	// Null says what a submission that did no work gets: invalid or scored.
	Null string `yaml:"null_outcome"`
	// Broken says what broken submissions get: refused, the default, or scored,
	// then not better than the baseline.
	Broken string `yaml:"broken_outcome,optional"`
}

func loadSpec(tests fs.FS) (spec, error) {
	data, err := fs.ReadFile(tests, FileName)
	if err != nil {
		return spec{}, fmt.Errorf("tests/%s: %w", FileName, err)
	}
	var s spec
	lines, err := strictyaml.Decode("tests/"+FileName, data, &s)
	if err != nil {
		return spec{}, err
	}
	var problems []error
	fail := func(key, format string, args ...any) {
		problems = append(problems, lines.At("tests/"+FileName, key, format, args...))
	}
	if s.Format != Format {
		fail("format", "this program reads format %d, not %d", Format, s.Format)
	}
	if s.Null != "invalid" && s.Null != "scored" {
		fail("null_outcome", "want invalid or scored, got %q", s.Null)
	}
	if s.Broken == "" {
		s.Broken = "refused"
	}
	if s.Broken != "refused" && s.Broken != "scored" {
		fail("broken_outcome", "want refused or scored, got %q", s.Broken)
	}
	for key, v := range map[string]float64{"tolerance": s.Tolerance, "repeat": s.Repeat} {
		if v < 0 || math.IsNaN(v) {
			fail(key, "want 0 or more, got %g", v)
		}
	}
	return s, errors.Join(problems...)
}

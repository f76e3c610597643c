package scaffold

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
)

// MaxFileBytes bounds a scaffold file and each file it includes.
const MaxFileBytes = 1 << 20

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// Decode reads a scaffold file. The name is used in errors, which are or join
// errors of type [*Error] and name file, line and key. Files that the scaffold
// includes are looked up in fsys, which may be nil where there are none.
func Decode(name string, data []byte, fsys fs.FS) (*Scaffold, error) {
	spec := Spec{}
	doc, err := decode(name, data, &spec)
	if err != nil {
		return nil, err
	}
	if err := doc.check(&spec); err != nil {
		return nil, err
	}
	if err := doc.include(&spec, fsys); err != nil {
		return nil, err
	}
	return compile(doc, spec)
}

// document is a YAML file, as far as errors need it.
type document struct {
	name  string
	lines strictyaml.Lines
}

func decode(name string, data []byte, into any) (*document, error) {
	if len(data) > MaxFileBytes {
		return nil, &Error{File: name, Message: fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes)}
	}
	lines, err := strictyaml.Decode(name, data, into)
	return &document{name: name, lines: lines}, err
}

func (d *document) fail(key, format string, args ...any) error {
	return d.lines.At(d.name, key, format, args...)
}

func (d *document) check(s *Spec) error {
	if s.Format != FormatVersion {
		return d.fail("format", "is %d; this program reads version %d", s.Format, FormatVersion)
	}
	if !namePattern.MatchString(s.Name) {
		return d.fail("name", "%q is no name: use letters, digits, '.', '_' and '-'", s.Name)
	}
	if s.Version < 1 {
		return d.fail("version", "is %d; it counts from 1", s.Version)
	}
	if !slices.Contains(outputs, string(s.Output)) {
		return d.fail("output", "%s", unknown("output format", string(s.Output), outputs))
	}
	if s.MaxReasks == nil {
		two := 2
		s.MaxReasks = &two
	}
	if *s.MaxReasks < 0 || *s.MaxReasks > 10 {
		return d.fail("max_reasks", "is %d; it may be 0 to 10", *s.MaxReasks)
	}
	if err := d.checkHistory(&s.History); err != nil {
		return err
	}
	if err := d.checkRequest(s.Request); err != nil {
		return err
	}
	for i, name := range s.Tools {
		if !namePattern.MatchString(name) {
			return d.fail(fmt.Sprintf("tools[%d]", i), "%q is no name of a tool", name)
		}
		if slices.Contains(s.Tools[:i], name) {
			return d.fail(fmt.Sprintf("tools[%d]", i), "%q is listed twice", name)
		}
	}
	return nil
}

func (d *document) checkHistory(h *History) error {
	if h.Policy == "" {
		h.Policy = All
	}
	switch {
	case !slices.Contains(policies, string(h.Policy)):
		return d.fail("history.policy", "%s", unknown("history policy", string(h.Policy), policies))
	case h.First < 0:
		return d.fail("history.first", "is %d; it cannot be negative", h.First)
	case h.First != 0 && h.Policy != FirstLast:
		return d.fail("history.first", "has a meaning only with the policy %s", FirstLast)
	case h.Policy == All && h.Last != 0:
		return d.fail("history.last", "has no meaning with the policy %s", All)
	case h.Policy != All && h.Last < 1:
		return d.fail("history.last", "is %d; the policy %s needs at least 1", h.Last, h.Policy)
	}
	return nil
}

func (d *document) checkRequest(r Request) error {
	if t := r.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		return d.fail("request.temperature", "is %v; it may be 0 to 2", *t)
	}
	if p := r.TopP; p != nil && !(*p > 0 && *p <= 1) {
		return d.fail("request.top_p", "is %v; it may be above 0 and up to 1", *p)
	}
	if r.MaxTokens < 0 {
		return d.fail("request.max_tokens", "is %d; it cannot be negative", r.MaxTokens)
	}
	return nil
}

// include reads the demonstration files and checks all demonstrations.
func (d *document) include(s *Spec, fsys fs.FS) error {
	for i, demo := range s.Demonstrations {
		key := fmt.Sprintf("demonstrations[%d]", i)
		from := d
		prefix := key + "."
		if demo.File != "" {
			if demo.Task != "" || len(demo.Steps) > 0 {
				return d.fail(key, "has a file, so task and steps belong into that file")
			}
			included, err := d.readDemonstration(key, &demo, fsys)
			if err != nil {
				return err
			}
			if demo.File != "" {
				return included.fail("file", "a demonstration file cannot include another")
			}
			from, prefix = included, ""
		}
		if err := from.checkDemonstration(prefix, demo, s.Output); err != nil {
			return err
		}
		s.Demonstrations[i] = demo
	}
	return nil
}

// readDemonstration reads the file that the demonstration names into it.
func (d *document) readDemonstration(key string, demo *Demonstration, fsys fs.FS) (*document, error) {
	file := demo.File
	if fsys == nil || !fs.ValidPath(file) {
		return nil, d.fail(key+".file", "%q must be a path below the scaffold file", file)
	}
	data, err := readBounded(fsys, file)
	if err != nil {
		return nil, d.fail(key+".file", "%v", err)
	}
	*demo = Demonstration{}
	return decode(path.Join(path.Dir(d.name), file), data, demo)
}

func (d *document) checkDemonstration(prefix string, demo Demonstration, out Output) error {
	if strings.TrimSpace(demo.Task) == "" {
		return d.fail(prefix+"task", "is missing")
	}
	if len(demo.Steps) == 0 {
		return d.fail(prefix+"steps", "are missing")
	}
	for i, step := range demo.Steps {
		key := fmt.Sprintf("%ssteps[%d]", prefix, i)
		switch {
		case (step.Command == "") == (step.Tool == ""):
			return d.fail(key, "needs a command or a tool, and not both")
		case step.Tool == "" && step.Args != nil:
			return d.fail(key+".args", "belong to a tool")
		case step.Tool != "" && out != FunctionCalling:
			return d.fail(key+".tool", "is possible only with output: %s; write the command", FunctionCalling)
		}
	}
	return nil
}

func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

func unknown(what, got string, known []string) string {
	near := nearest.Names(got, known)
	if len(near) == 0 {
		near = known
	}
	return fmt.Sprintf("%q is no %s; did you mean %s?", got, what, strings.Join(near, ", "))
}

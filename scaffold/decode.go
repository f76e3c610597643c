package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mlgym/internal/nearest"
)

// MaxFileBytes bounds a scaffold file and each file it includes.
const MaxFileBytes = 1 << 20

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	knownFieldRow = regexp.MustCompile(`unknown field "([^"]*)"`)
)

// Decode reads a scaffold file. The name is used in errors, which are of type
// [*Error] and name file, line and key. Files that the scaffold includes are
// looked up in fsys, which may be nil where there are none.
func Decode(name string, data []byte, fsys fs.FS) (*Scaffold, error) {
	doc, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	spec := Spec{}
	if err := doc.into(&spec); err != nil {
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

// document is a YAML file together with where its keys stand.
type document struct {
	name string
	data []byte
	file *ast.File
}

func parse(name string, data []byte) (*document, error) {
	if len(data) > MaxFileBytes {
		return nil, &Error{File: name, Message: fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	docs := 0
	for _, d := range file.Docs {
		if d.Body != nil {
			docs++
		}
	}
	if docs != 1 {
		return nil, &Error{File: name, Line: 1, Message: fmt.Sprintf("holds %d YAML documents, want 1", docs)}
	}
	return &document{name: name, data: data, file: file}, nil
}

func (d *document) into(v any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(d.data), yaml.Strict())
	if err := decoder.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return yamlError(d.name, err)
	}
	return nil
}

func yamlError(name string, err error) error {
	out := &Error{File: name, Message: err.Error()}
	var at yaml.Error
	if !errors.As(err, &at) {
		return out
	}
	out.Message = at.GetMessage()
	if tk := at.GetToken(); tk != nil {
		if tk.Position != nil {
			out.Line = tk.Position.Line
		}
		out.Key = tk.Value
		// A complaint about a value should name its key, not the value.
		if tk.Prev != nil && tk.Prev.Value == ":" && tk.Prev.Prev != nil {
			out.Key = tk.Prev.Prev.Value
		}
	}
	if knownFieldRow.MatchString(out.Message) {
		out.Message = "there is no such key here"
	}
	return out
}

// fail makes an error about a key given as a YAML path such as "prompts.step"
// or "demonstrations[0].file".
func (d *document) fail(key, format string, args ...any) error {
	e := &Error{File: d.name, Key: key, Message: fmt.Sprintf(format, args...)}
	for at := key; ; {
		if line := d.line(at); line > 0 {
			e.Line = line
			break
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			e.Line = 1
			break
		}
		at = at[:cut]
	}
	return e
}

func (d *document) line(key string) int {
	p, err := yaml.PathString("$." + key)
	if err != nil {
		return 0
	}
	node, err := p.FilterFile(d.file)
	if err != nil || node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 0
	}
	return node.GetToken().Position.Line
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
			included, err := d.readDemonstration(key, demo.File, fsys)
			if err != nil {
				return err
			}
			demo = Demonstration{}
			if err := included.into(&demo); err != nil {
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

func (d *document) readDemonstration(key, file string, fsys fs.FS) (*document, error) {
	if fsys == nil || !fs.ValidPath(file) {
		return nil, d.fail(key+".file", "%q must be a path below the scaffold file", file)
	}
	data, err := readBounded(fsys, file)
	if err != nil {
		return nil, d.fail(key+".file", "%v", err)
	}
	return parse(path.Join(path.Dir(d.name), file), data)
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

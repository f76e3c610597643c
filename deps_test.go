package mlgym_test

import (
	"bufio"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// arrows says what each package may import of ours. A line is a pattern (of
// [path.Match], "." is the root package), a colon, and patterns of packages; the
// first line that matches a package counts. Tests may import what they need.
//
// A new room gets a line here before it gets code. What a line does not allow
// is a question to be asked first: does the arrow point back?
const arrows = `
# The vocabulary and the contracts: nothing of ours, or words of the vocabulary.
gym:
model:
sandbox:
agent:                    gym model
tool:

# Machinery without a place of its own.
internal/atomicfile:
internal/board:           experiment
internal/cachedir:
internal/flock:
internal/hostview:        sandbox internal/cachedir
internal/loopback:
internal/nearest:
internal/procid:
internal/redact:
internal/syscallfilter:
internal/strictyaml:      internal/nearest

# The shim. Its half inside holds the tools; its half outside must not.
internal/shim/wire:       sandbox
internal/shim:            sandbox internal/shim/wire internal/cachedir
internal/shim/server:     sandbox internal/shim/wire tool
internal/shim/shimtest:   sandbox internal/shim internal/shim/* internal/cachedir tool
cmd/mlgym-shim:           sandbox internal/shim/server tool

# What ships as files.
python:
scaffolds:
tasks:
datasets:
environments:

# Drivers import their contract and the shim.
sandbox/sandboxtest:      sandbox internal/shim internal/shim/shimtest internal/cachedir
sandbox/*:                sandbox internal/shim internal/cachedir internal/atomicfile internal/hostview internal/procid internal/syscallfilter

# Models: a provider imports the contract, and nothing else imports a provider.
model/internal/wire:      model
model/modeltest:          model
model/modeltest/*:        model model/modeltest internal/cachedir
model/price:              model internal/strictyaml internal/nearest
model/providers:          model model/* internal/nearest internal/redact
model/replay:             model internal/atomicfile internal/redact
model/*:                  model model/internal/wire

# From a task folder to a score.
task:                     gym sandbox internal/nearest internal/strictyaml
layer:                    internal/atomicfile internal/cachedir internal/nearest
dataset:                  sandbox python internal/atomicfile internal/cachedir internal/nearest internal/strictyaml
grader:                   gym sandbox task dataset layer python internal/*
gym/gymtest:              gym
taskenv:                  gym sandbox task tool grader
pool:                     gym sandbox taskenv
taskcheck:                gym sandbox task dataset grader taskenv internal/strictyaml
taskimport:               sandbox task internal/atomicfile internal/nearest internal/strictyaml
scaffold:                 gym model tool internal/nearest internal/strictyaml

# Agents know no task, no sandbox and no grader.
agent/llm:                agent gym model scaffold tool
agent/human:              agent gym tool
agent/*:                  agent gym

# Records and the loop.
trajectory:               agent gym model internal/atomicfile internal/redact
rollout:                  agent gym model trajectory
runstore:                 agent gym sandbox trajectory internal/atomicfile internal/flock internal/redact

# A cluster's scheduler, driven through its commands: it places work and knows none of ours.
slurm:
slurm/slurmtest:          slurm

# Many runs: what they share.
experiment/budget:        model internal/atomicfile internal/flock
machine:                  internal/cachedir internal/flock

# From runs to pages.
stats:
plot:
trajectory/mlgym:         agent gym model trajectory
audit:                    stats
report:                   audit gym plot runstore stats trajectory trajectory/mlgym
search:                   gym internal/atomicfile internal/flock runstore trajectory trajectory/mlgym
export:                   agent gym internal/nearest model runstore trajectory

# The front door sees what ships, the command line sees everything.
.:                        gym sandbox sandbox/* task taskenv grader dataset layer tasks datasets environments scaffolds scaffold internal/nearest internal/atomicfile internal/shim
episode:                  . agent agent/* grader gym internal/nearest internal/redact model model/* rollout runstore sandbox scaffold task taskenv tool trajectory
experiment:               . episode experiment/budget gym internal/atomicfile internal/flock internal/nearest internal/redact internal/strictyaml machine model model/* rollout runstore sandbox slurm task taskenv trajectory
experiment/metrics:       experiment

# Many clients: a protocol knows sessions, and no other protocol; what sessions are made of knows no protocol.
server/session:           gym
server/session/sessiontest: gym server/session
server/supply:            . agent episode grader gym internal/nearest internal/redact pool rollout runstore sandbox server/session task taskenv trajectory
server/httpsession:       gym server/session
server/openenv:           gym internal/nearest server/httpsession server/session tool
server/nemogym:           gym server/httpsession server/session tool
server/mcp:               gym server/session tool
server/servertest:        server server/* server/session/sessiontest
server:                   internal/loopback pool server/*

# What is looked at: rooms of pages know the frame and the runs, and not each other; web joins them.
web/page:                 internal/loopback
web/assets:
web/markup:
web/record:               agent audit gym internal/* model report runstore search trajectory trajectory/mlgym
web/run:                  gym model report runstore search trajectory web/markup web/page web/record internal/nearest
web/runs:                 gym report runstore search trajectory web/markup web/page web/record internal/nearest
web/experiments:          experiment gym runstore web/markup web/page web/record
web/leaderboard:          gym plot report runstore search stats web/markup web/page web/record
web/tasks:                . dataset gym report runstore search task web/markup web/page web/record
web/play:                 gym server/session task web/markup web/page web/record
web/webtest:              agent gym model runstore trajectory
web:                      search web/*

internal/cli:             . audit dataset environments episode experiment experiment/metrics export grader gym internal/* internal/*/* layer machine model model/* pool report rollout runstore sandbox scaffold scaffolds search server server/* slurm stats task taskcheck taskimport taskenv tool trajectory trajectory/* web web/*
cmd/mlgym:                internal/cli
`

// refusedNames say nothing about what lies behind them.
var refusedNames = []string{
	"util", "utils", "common", "commons", "helper", "helpers", "manager", "managers",
	"shared", "misc", "base", "types",
}

// TestArchitecture keeps the arrows between the rooms, and a few rules that no
// linter knows. It reads the tree itself: a test that asks the go command would
// be cached without the files it depends on.
func TestArchitecture(t *testing.T) {
	for _, problem := range checkTree(t, os.DirFS("."), arrows) {
		t.Error(problem)
	}
}

// TestArchitectureCanFail breaks every rule once.
func TestArchitectureCanFail(t *testing.T) {
	const rules = "gym:\nsandbox:\nsandbox/*: sandbox\nstats:\nsandboxtest: sandbox\nmodel/*: gym"
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tests := map[string]struct {
		tree fstest.MapFS
		want []string
	}{
		"nothing wrong": {
			fstest.MapFS{"stats/mean.go": file("// Package stats counts.\npackage stats\nimport \"math\"")},
			nil,
		},
		"an arrow back": {
			fstest.MapFS{"stats/mean.go": file("// Package stats counts.\npackage stats\nimport _ \"mlgym/gym\"")},
			[]string{"stats/mean.go: stats must not import mlgym/gym (see arrows in deps_test.go)"},
		},
		"a sibling": {
			fstest.MapFS{"sandbox/oci/a.go": file("// Package oci runs.\npackage oci\nimport \"mlgym/sandbox\"\nimport \"mlgym/sandbox/docker\"")},
			[]string{"sandbox/oci/a.go: sandbox/oci must not import mlgym/sandbox/docker (see arrows in deps_test.go)"},
		},
		"the test of a package may": {
			fstest.MapFS{
				"stats/mean.go":      file("// Package stats counts.\npackage stats"),
				"stats/mean_test.go": file("package stats\nimport \"testing\"\nimport \"mlgym/gym\""),
			},
			nil,
		},
		"an unknown room": {
			fstest.MapFS{"web/a.go": file("// Package web serves.\npackage web")},
			[]string{"web: the package has no line in the table of arrows in deps_test.go"},
		},
		"no doc comment": {
			fstest.MapFS{"gym/a.go": file("package gym"), "gym/b.go": file("//go:build linux\n\npackage gym")},
			[]string{"gym: no file has a package comment"},
		},
		"testing outside tests": {
			fstest.MapFS{"gym/a.go": file("// Package gym speaks.\npackage gym\nimport \"testing\"")},
			[]string{"gym/a.go: imports testing, which only tests and packages named …test may"},
		},
		"testing in a test package": {
			fstest.MapFS{"sandboxtest/a.go": file("// Package sandboxtest checks.\npackage sandboxtest\nimport \"testing\"")},
			nil,
		},
		"a test package outside tests": {
			fstest.MapFS{"sandbox/oci/a.go": file("// Package oci runs.\npackage oci\nimport \"mlgym/sandbox/sandboxtest\"")},
			[]string{
				"sandbox/oci/a.go: sandbox/oci must not import mlgym/sandbox/sandboxtest (see arrows in deps_test.go)",
				"sandbox/oci/a.go: imports mlgym/sandbox/sandboxtest, which is for tests",
			},
		},
		"names that say nothing": {
			fstest.MapFS{
				"gym/a.go":          file("// Package gym speaks.\npackage gym"),
				"gym/file_utils.go": file("package gym"),
				"gym/types_test.go": file("package gym"),
				"docs/misc/a.md":    file("Text"),
				"python/helper.py":  file("pass"),
			},
			[]string{
				`docs/misc: the name "misc" says nothing`,
				`gym/file_utils.go: the name "utils" says nothing`,
				`gym/types_test.go: the name "types" says nothing`,
				`python/helper.py: the name "helper" says nothing`,
			},
		},
		"not Go": {
			fstest.MapFS{"gym/a.go": file("pakage gym")},
			[]string{"gym/a.go:1:1: expected 'package', found pakage"},
		},
		"other modules, test data and hidden folders are not looked at": {
			fstest.MapFS{
				"tools/go.mod":                file("module other"),
				"tools/a.go":                  file("package util"),
				"gym/a.go":                    file("// Package gym speaks.\npackage gym"),
				"gym/testdata/base/b.go":      file("package b\nimport \"mlgym/sandbox\""),
				".git/types.go":               file("package x"),
				"runs/x/workspace/a.go":       file("package x"),
				"web/node_modules/x/types.go": file("package x"),
			},
			nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, checkTree(t, tt.tree, rules)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestArrowsAreUsed finds lines that no package needs any more.
func TestArrowsAreUsed(t *testing.T) {
	used := map[string]bool{}
	rules := parseArrows(t, arrows)
	walkSources(t, os.DirFS("."), func(s source) {
		if rule, ok := find(rules, s.room); ok {
			used[rule.room] = true
		}
	})
	for _, rule := range rules {
		if !used[rule.room] {
			t.Errorf("the table of arrows has a line for %s, and there is no such package", rule.room)
		}
	}
}

// checkTree returns what is wrong, sorted.
func checkTree(t *testing.T, tree fs.FS, table string) []string {
	t.Helper()
	rules := parseArrows(t, table)
	var problems []string
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	documented := map[string]bool{} // rooms with code: whether they have a comment
	walkTree(t, tree, func(name string, _ fs.DirEntry) {
		if word := refusedName(name); word != "" {
			report("%s: the name %q says nothing", name, word)
		}
	})
	walkSources(t, tree, func(s source) {
		if s.problem != "" {
			report("%s", s.problem)
			return
		}
		if s.test {
			return
		}
		documented[s.room] = documented[s.room] || s.documented
		rule, known := find(rules, s.room)
		for _, imported := range s.imports {
			room, ours := strings.CutPrefix(imported, "mlgym/")
			if imported == "mlgym" {
				room, ours = ".", true
			}
			if known && ours && !rule.allows(room) {
				report("%s: %s must not import %s (see arrows in deps_test.go)", s.name, s.room, imported)
			}
			if ours && forTests(room) && !forTests(s.room) {
				report("%s: imports %s, which is for tests", s.name, imported)
			}
			if imported == "testing" && !forTests(s.room) {
				report("%s: imports testing, which only tests and packages named …test may", s.name)
			}
		}
	})
	for room, ok := range documented {
		if _, known := find(rules, room); !known {
			report("%s: the package has no line in the table of arrows in deps_test.go", room)
		}
		if !ok {
			report("%s: no file has a package comment", room)
		}
	}
	slices.SortStableFunc(problems, func(a, b string) int { return strings.Compare(place(a), place(b)) })
	return problems
}

// place is the file or package that a problem is about.
func place(problem string) string {
	name, _, _ := strings.Cut(problem, ":")
	return name
}

// arrow is one line of the table.
type arrow struct {
	room    string
	allowed []string
}

func (a arrow) allows(room string) bool {
	return slices.ContainsFunc(a.allowed, func(pattern string) bool { return matches(pattern, room) })
}

func parseArrows(t *testing.T, table string) []arrow {
	t.Helper()
	var rules []arrow
	for line := range strings.Lines(table) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if line == "" {
			continue
		}
		room, allowed, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("the table of arrows has a line without a colon: %q", line)
		}
		rules = append(rules, arrow{room, strings.Fields(allowed)})
	}
	return rules
}

func find(rules []arrow, room string) (arrow, bool) {
	for _, rule := range rules {
		if matches(rule.room, room) {
			return rule, true
		}
	}
	return arrow{}, false
}

func matches(pattern, room string) bool {
	ok, err := path.Match(pattern, room)
	return err == nil && ok
}

// forTests says that a package exists for tests: sandboxtest, or a package
// below it.
func forTests(room string) bool {
	return slices.ContainsFunc(strings.Split(room, "/"), func(element string) bool { return strings.HasSuffix(element, "test") })
}

// refusedName returns the name's last word where it is one of refusedNames.
// Only folders and programs are looked at.
func refusedName(name string) string {
	last := path.Base(name)
	switch ext := path.Ext(last); ext {
	case "", ".go", ".py", ".sh":
		last = strings.TrimSuffix(last, ext)
	default:
		return ""
	}
	words := strings.FieldsFunc(strings.TrimSuffix(last, "_test"), func(r rune) bool { return r == '_' || r == '-' })
	if len(words) > 0 && slices.Contains(refusedNames, words[len(words)-1]) {
		return words[len(words)-1]
	}
	return ""
}

// source is a Go file.
type source struct {
	name, room string
	test       bool
	documented bool
	imports    []string
	problem    string // why it could not be read
}

// walkSources reads the head of every Go file of the module.
func walkSources(t *testing.T, tree fs.FS, visit func(source)) {
	t.Helper()
	walkTree(t, tree, func(name string, entry fs.DirEntry) {
		if entry.IsDir() || path.Ext(name) != ".go" {
			return
		}
		s := source{name: name, room: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			s.problem = err.Error()
			visit(s)
			return
		}
		s.documented = file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != ""
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: import %s: %v", name, spec.Path.Value, err)
			}
			s.imports = append(s.imports, imported)
		}
		visit(s)
	})
}

// walkTree visits what belongs to the module: no hidden folder, no test data,
// no other module, nothing that was built or recorded.
func walkTree(t *testing.T, tree fs.FS, visit func(name string, entry fs.DirEntry)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			hidden := strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_")
			if hidden || entry.Name() == "testdata" || entry.Name() == "node_modules" || name == "bin" || name == "runs" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
		}
		visit(name, entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDependenciesAreExplained compares what the code imports of others with
// docs/design/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	modules := requiredModules(t)
	direct := map[string]string{} // module: a file that imports it
	walkSources(t, os.DirFS("."), func(s source) {
		for _, imported := range s.imports {
			if module := moduleOf(modules, imported); module != "" {
				direct[module] = s.name
			}
		}
	})
	if len(direct) == 0 {
		t.Fatal("no import of another module was found; this test cannot fail any more")
	}
	explained := explainedModules(t)
	for module, file := range direct {
		if !explained[module] {
			t.Errorf("%s imports %s, which docs/design/dependencies.md does not explain", file, module)
		}
	}
	for module := range explained {
		if direct[module] == "" {
			t.Errorf("docs/design/dependencies.md explains %s, which nothing imports", module)
		}
	}
}

// requiredModules reads go.mod; a comment such as "// indirect" does not count.
func requiredModules(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// moduleOf returns the module that holds a package, or "".
func moduleOf(modules []string, imported string) string {
	found := ""
	for _, module := range modules {
		if (imported == module || strings.HasPrefix(imported, module+"/")) && len(module) > len(found) {
			found = module
		}
	}
	return found
}

// explainedModules reads the first column of the tables of Go modules.
func explainedModules(t *testing.T) map[string]bool {
	t.Helper()
	file, err := os.Open("docs/design/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	explained := map[string]bool{}
	inGo := false
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		line := scanner.Text()
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			inGo = strings.HasPrefix(heading, "Go modules")
		}
		if rest, ok := strings.CutPrefix(line, "| `"); ok && inGo {
			module, _, _ := strings.Cut(rest, "`")
			explained[module] = true
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return explained
}

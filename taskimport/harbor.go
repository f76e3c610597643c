package taskimport

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
	"mlgym/sandbox"
	"mlgym/task"
)

// harborSchema is the newest version of task.toml that is read.
const harborSchema = "1.4"

// harborConfig is task.toml. What is only reported is read freely.
type harborConfig struct {
	SchemaVersion string            `toml:"schema_version"`
	Version       any               `toml:"version"`
	Source        any               `toml:"source"`
	Task          *harborTask       `toml:"task"`
	Metadata      map[string]any    `toml:"metadata"`
	Agent         harborAgent       `toml:"agent"`
	Verifier      harborVerifier    `toml:"verifier"`
	Environment   harborEnvironment `toml:"environment"`
	Solution      harborSolution    `toml:"solution"`
	Artifacts     []any             `toml:"artifacts"`
	Strategy      any               `toml:"multi_step_reward_strategy"`
	Steps         []map[string]any  `toml:"steps"`
}

type harborTask struct {
	Name        string `toml:"name"`
	Version     any    `toml:"version"`
	Description string `toml:"description"`
	Authors     any    `toml:"authors"`
	Keywords    any    `toml:"keywords"`
}

type harborAgent struct {
	TimeoutSec   *float64 `toml:"timeout_sec"`
	User         any      `toml:"user"`
	NetworkMode  any      `toml:"network_mode"`
	AllowedHosts any      `toml:"allowed_hosts"`
}

type harborVerifier struct {
	TimeoutSec      *float64          `toml:"timeout_sec"`
	Env             map[string]string `toml:"env"`
	User            any               `toml:"user"`
	EnvironmentMode string            `toml:"environment_mode"`
	NetworkMode     any               `toml:"network_mode"`
	AllowedHosts    any               `toml:"allowed_hosts"`
	Environment     map[string]any    `toml:"environment"`
	Collect         []map[string]any  `toml:"collect"`
}

type harborEnvironment struct {
	BuildTimeoutSec any               `toml:"build_timeout_sec"`
	DockerImage     string            `toml:"docker_image"`
	OS              string            `toml:"os"`
	CPUs            *float64          `toml:"cpus"`
	MemoryMB        *int64            `toml:"memory_mb"`
	StorageMB       *int64            `toml:"storage_mb"`
	Memory          string            `toml:"memory"`
	Storage         string            `toml:"storage"`
	GPUs            *int64            `toml:"gpus"`
	GPUTypes        any               `toml:"gpu_types"`
	TPU             any               `toml:"tpu"`
	NetworkMode     any               `toml:"network_mode"`
	AllowInternet   any               `toml:"allow_internet"`
	AllowedHosts    any               `toml:"allowed_hosts"`
	Env             map[string]string `toml:"env"`
	Workdir         string            `toml:"workdir"`
	SkillsDir       any               `toml:"skills_dir"`
	Healthcheck     map[string]any    `toml:"healthcheck"`
	MCPServers      []map[string]any  `toml:"mcp_servers"`
}

type harborSolution struct {
	Env map[string]string `toml:"env"`
}

// defaults of Harbor, in seconds.
const (
	harborVerifierSeconds = 600.0
	harborAgentSeconds    = 3600.0
)

// harborImport is one import under way.
type harborImport struct {
	opts     Options
	dir      source
	name     string // the directory, as it was named
	config   harborConfig
	report   *Report
	tree     *tree
	spec     spec
	settings settings
	workdir  string // where the agent starts, there
	env      map[string]string
	image    string
	tests    []string
}

// Harbor imports a task's directory of Harbor.
func Harbor(dir string, opts Options) (*Report, error) {
	h := &harborImport{
		opts: opts, name: dir, tree: newTree(), env: map[string]string{},
		report: &Report{From: "Harbor", Source: dir, Entries: []Entry{}, Next: []string{}},
	}
	var err error
	if h.dir, err = newSource(dir); err != nil {
		return nil, fmt.Errorf("the task's directory: %w", err)
	}
	for _, step := range []func() error{h.read, h.world, h.files, h.verification, h.submission, h.solution} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return h.write()
}

// decodeTOML reads task.toml strictly: each unknown key is told with its line and
// the nearest names.
func decodeTOML(name, text string, into any) error {
	err := toml.NewDecoder(bytes.NewReader([]byte(text))).DisallowUnknownFields().Decode(into)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var problems []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			key := e.Key()
			known := knownKeys(reflect.TypeOf(into), key[:len(key)-1])
			hint := nearest.Hint(key[len(key)-1], known)
			if hint == "" {
				hint = "; known here: " + strings.Join(known, ", ")
			}
			problems = append(problems, &strictyaml.Error{File: name, Line: line, Key: strings.Join(key, "."), Message: "unknown key" + hint})
		}
		return errors.Join(problems...)
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return &strictyaml.Error{File: name, Line: line, Key: strings.Join(wrong.Key(), "."), Message: strings.TrimPrefix(wrong.Error(), "toml: ")}
	}
	return err
}

// knownKeys lists the keys of the table that a path leads to.
func knownKeys(t reflect.Type, at []string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for field := range t.Fields() {
		key := field.Tag.Get("toml")
		if len(at) > 0 && key == at[0] {
			return knownKeys(field.Type, at[1:])
		}
		keys = append(keys, key)
	}
	return keys
}

// read reads task.toml and the instruction.
func (h *harborImport) read() error {
	if !h.dir.has("task.toml") {
		return fmt.Errorf("%s has no task.toml: name the directory of one task, which has task.toml, instruction.md and tests/", h.name)
	}
	text, err := h.dir.text("task.toml")
	if err != nil {
		return err
	}
	c := &h.config
	if err := decodeTOML(path.Join(h.name, "task.toml"), text, c); err != nil {
		return err
	}
	version := c.SchemaVersion
	if version == "" && c.Version != nil {
		version = fmt.Sprint(c.Version)
	}
	if version != "" && !regexp.MustCompile(`^1(\.[0-4])?(\.\d+)?$`).MatchString(version) {
		return &strictyaml.Error{File: path.Join(h.name, "task.toml"), Key: "schema_version", Message: fmt.Sprintf("this program reads 1.0 to %s, not %s", harborSchema, version)}
	}
	if c.Environment.OS != "" && c.Environment.OS != "linux" {
		return fmt.Errorf("%s is a task for %s; sandboxes here are Linux", h.name, c.Environment.OS)
	}
	for _, need := range []string{"instruction.md", "tests/test.sh"} {
		if !h.dir.has(need) {
			if len(c.Steps) > 0 {
				return fmt.Errorf("%s is a task of %d steps, which have instructions and tests of their own; an episode here has one task: import what belongs to one step as a directory of its own", h.name, len(c.Steps))
			}
			return fmt.Errorf("%s has no %s", h.name, need)
		}
	}
	full := filepath.Base(h.dir.root)
	if c.Task != nil && c.Task.Name != "" {
		full = c.Task.Name
	}
	h.spec.id = idOf(path.Base(full))
	if h.spec.id == "" {
		return fmt.Errorf("%s: the name %q makes no id of letters, digits, - and _; set name in [task]", h.name, full)
	}
	h.report.Task, h.spec.name = h.spec.id, oneLine(full)
	h.report.add(Kept, "task.name", "%s, as the id %s", full, h.spec.id)
	return nil
}

// canary are lines that only say that a task belongs into no training data.
var canary = regexp.MustCompile(`(?i)^\s*(<!--.*canary.*-->|#.*canary.*)\s*$`)

// stripCanary removes them from the beginning of a text.
func stripCanary(text string) (string, int) {
	lines := strings.SplitAfter(text, "\n")
	n := 0
	for len(lines) > 0 && (canary.MatchString(strings.TrimSpace(lines[0])) || n > 0 && strings.TrimSpace(lines[0]) == "") {
		if strings.TrimSpace(lines[0]) != "" {
			n++
		}
		lines = lines[1:]
	}
	return strings.Join(lines, ""), n
}

// variable is a reference to a variable of the host.
var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// resolve fills in the defaults of references to variables of the host, which no
// sandbox sees.
func (h *harborImport) resolve(key string, env map[string]string) map[string]string {
	got := map[string]string{}
	for _, name := range sorted(env) {
		missing := ""
		value := variable.ReplaceAllStringFunc(env[name], func(ref string) string {
			m := variable.FindStringSubmatch(ref)
			if m[2] == "" {
				missing = m[1]
			}
			return m[3]
		})
		switch {
		case missing != "":
			h.report.add(Left, key+"."+name, "it comes from the variable %s of the host, which no sandbox sees", missing)
		case slices.Contains([]string{"PATH", "HOME", "USER", "LANG", "SHELL"}, name) || strings.HasPrefix(name, "MLGYM_"):
			h.report.add(Left, key+"."+name, "every sandbox sets it itself")
		default:
			got[name] = value
			outcome, how := Kept, ""
			if value != env[name] {
				outcome, how = Changed, ", the default of "+env[name]
			}
			h.report.add(outcome, key+"."+name, "%s%s", value, how)
		}
	}
	return got
}

// size reads "2G" and the like as bytes.
func size(text string) int64 {
	m := regexp.MustCompile(`(?i)^\s*([0-9.]+)\s*([kmgt]?)i?b?\s*$`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	return int64(v * float64(int64(1)<<(10*strings.Index(" kmgt", strings.ToLower(m[2] + " ")[:1]))))
}

// world carries limits, times and variables over.
func (h *harborImport) world() error {
	c := &h.config
	e := &c.Environment
	if e.CPUs != nil {
		h.spec.world.CPUs = *e.CPUs
		h.report.add(Kept, "environment.cpus", "%g, for the agent and for the tests", *e.CPUs)
	}
	memory, disk := size(e.Memory), size(e.Storage)
	if e.MemoryMB != nil {
		memory = *e.MemoryMB << 20
	}
	if e.StorageMB != nil {
		disk = *e.StorageMB << 20
	}
	if memory > 0 {
		h.spec.world.MemoryBytes = memory
		h.report.add(Kept, "environment.memory_mb", "%d bytes, for the agent and for the tests", memory)
	}
	if disk > 0 {
		h.spec.world.DiskBytes = disk
		h.report.add(Changed, "environment.storage_mb", "%d bytes for each writable place", disk)
	}
	if e.GPUs != nil && *e.GPUs > 0 {
		h.report.add(Changed, "environment.gpus", "%d: tasks ask for none; give them to a run with --gpus", *e.GPUs)
	}
	h.spec.evaluation, h.spec.training = harborVerifierSeconds, harborAgentSeconds
	if c.Verifier.TimeoutSec != nil {
		h.spec.evaluation = *c.Verifier.TimeoutSec
		h.report.add(Kept, "verifier.timeout_sec", "%g s", h.spec.evaluation)
	}
	if c.Agent.TimeoutSec != nil {
		h.spec.training = *c.Agent.TimeoutSec
		h.report.add(Changed, "agent.timeout_sec", "%g s for each command; bound a run as a whole with --time-limit", h.spec.training)
	}
	if h.spec.evaluation <= 0 || h.spec.training <= 0 {
		return fmt.Errorf("%s: a timeout_sec is not above 0", path.Join(h.name, "task.toml"))
	}
	h.spec.command = h.spec.training
	h.spec.env = h.resolve("environment.env", e.Env)
	h.image = e.DockerImage
	h.workdir = e.Workdir
	h.unkept()
	return nil
}

// unkept tells of keys without a meaning here.
func (h *harborImport) unkept() {
	c := &h.config
	e := &c.Environment
	network := "sandboxes have no network"
	for _, k := range []struct {
		key   string
		value any
		why   string
	}{
		{"agent.user", c.Agent.User, "programs run as the sandbox's one user"},
		{"verifier.user", c.Verifier.User, "programs run as the sandbox's one user"},
		{"environment.build_timeout_sec", e.BuildTimeoutSec, "no image is built"},
		{"environment.gpu_types", e.GPUTypes, "a run is given GPUs by number"},
		{"environment.tpu", e.TPU, "there are none"},
		{"environment.skills_dir", e.SkillsDir, "agents here have no skills"},
		{"environment.network_mode", unless(e.NetworkMode, "no-network"), network},
		{"environment.allow_internet", unless(e.AllowInternet, false), network},
		{"environment.allowed_hosts", e.AllowedHosts, network},
		{"agent.network_mode", unless(c.Agent.NetworkMode, "no-network"), network},
		{"agent.allowed_hosts", c.Agent.AllowedHosts, network},
		{"verifier.network_mode", unless(c.Verifier.NetworkMode, "no-network"), network},
		{"verifier.allowed_hosts", c.Verifier.AllowedHosts, network},
		{"multi_step_reward_strategy", c.Strategy, "there is one step"},
		{"source", c.Source, "it says where the task is from"},
	} {
		if k.value != nil {
			h.report.add(Left, k.key, "%v: %s", k.value, k.why)
		}
	}
	for key, there := range map[string]bool{
		"environment.healthcheck": len(e.Healthcheck) > 0, "environment.mcp_servers": len(e.MCPServers) > 0,
		"verifier.collect": len(c.Verifier.Collect) > 0, "verifier.environment": len(c.Verifier.Environment) > 0, "steps": len(c.Steps) > 0,
		"metadata": len(c.Metadata) > 0,
	} {
		if there {
			h.report.add(Left, key, "%s", map[string]string{
				"environment.healthcheck": "no service is started that could be asked", "environment.mcp_servers": "agents here speak with no MCP server",
				"verifier.collect": "no command is run in the agent's sandbox before the tests", "verifier.environment": "the tests run in the sandbox that every grader has",
				"steps": "an episode here has one task; instruction.md and tests/ of the directory itself were imported", "metadata": "nothing here reads it",
			}[key])
		}
	}
}

func unless(value, same any) any {
	if value == same {
		return nil
	}
	return value
}

// link plans a link to a place below the home, where the system has no such
// folder.
func (h *harborImport) link(links *map[string]string, at, target string) {
	if err := sandbox.CheckLink(at, target); err != nil {
		h.report.add(Left, at, "it cannot be a link (%v): texts and programs that name it have to be changed to %s", err, target)
		return
	}
	if *links == nil {
		*links = map[string]string{}
	}
	(*links)[at] = target
}

// files finds what lies in the agent's workspace at the beginning.
func (h *harborImport) files() error {
	compose := h.dir.has("environment/docker-compose.yaml")
	if compose {
		h.report.add(Left, "environment/docker-compose.yaml", "a sandbox is one machine without services")
	}
	lines := []dockerLine{}
	if h.dir.has("environment/Dockerfile") {
		text, err := h.dir.text("environment/Dockerfile")
		if err != nil {
			return err
		}
		lines = parseDockerfile(text)
	} else if h.image == "" {
		h.report.add(Left, "environment", "no docker_image and no Dockerfile; the system of the sandbox is taken")
	}
	if h.workdir == "" {
		h.workdir = "/app"
		for _, l := range lines {
			if l.command == "WORKDIR" && len(l.words) == 1 && !strings.Contains(l.words[0], "$") {
				h.workdir = path.Clean(path.Join("/", l.words[0]))
			}
		}
	}
	h.link(&h.spec.links, h.workdir, sandbox.WorkDir)
	h.report.add(Changed, h.workdir, "the workspace %s, where the agent starts; %s is a link to it", sandbox.WorkDir, h.workdir)
	if err := h.docker(lines); err != nil {
		return err
	}
	if h.image != "" {
		h.report.add(Changed, "environment.docker_image", "%s is not built in: give it to a run with --sandbox oci --root %s (the docker driver makes no links), else the host's system is seen", h.image, h.image)
	}
	return nil
}

// network are words of commands that fetch something.
var network = regexp.MustCompile(`\b(curl|wget|apt-get|apt|pip3?|uvx?|npm|npx|cargo|git clone|conda)\b`)

// verification brings the tests to the grader.
func (h *harborImport) verification() error {
	c := &h.config
	files, err := h.dir.files("tests")
	if err != nil {
		return err
	}
	for name, g := range files {
		h.tree.file("grader/tests/"+name, g)
		h.tests = append(h.tests, name)
	}
	slices.Sort(h.tests)
	text, err := h.dir.text("tests/test.sh")
	if err != nil {
		return err
	}
	for i, line := range strings.Split(text, "\n") {
		if word := network.FindString(line); word != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			h.report.add(Left, fmt.Sprintf("tests/test.sh:%d", i+1), "%s fetches something, and no sandbox has a network: the line fails unless what it needs is there already; look whether the tests still mean what they should", word)
		}
	}
	h.report.add(Changed, "tests", "%d files in grader/tests, which no agent can reach; they run in a sandbox of the grader's, at /tests", len(files))
	if c.Verifier.EnvironmentMode == "separate" {
		h.report.add(Kept, "verifier.environment_mode", "separate")
	} else {
		h.report.add(Changed, "verifier.environment_mode", "separate, always: the tests see what was handed in and not the agent's machine, where a program may still run")
	}
	if h.dir.has("tests/Dockerfile") {
		h.report.add(Left, "tests/Dockerfile", "no image is built; the tests run on the system of the sandbox")
	}
	h.settings = settings{Kind: "harbor", Metrics: []string{"reward"}, TimeoutSeconds: h.spec.evaluation, Script: "/tests/test.sh", Env: map[string]string{}}
	if len(h.opts.Metrics) > 0 {
		h.settings.Metrics = h.opts.Metrics
	}
	maps.Copy(h.settings.Env, h.spec.env)
	maps.Copy(h.settings.Env, h.resolve("verifier.env", c.Verifier.Env))
	h.link(&h.spec.gradingLinks, "/tests", sandbox.HomeDir+"/grader/tests")
	for _, dir := range []string{"verifier", "agent", "artifacts"} {
		target := sandbox.HomeDir + "/logs/" + dir
		h.link(&h.spec.gradingLinks, "/logs/"+dir, target)
		h.settings.Folders = append(h.settings.Folders, target)
	}
	for _, name := range h.settings.Metrics {
		h.spec.metrics = append(h.spec.metrics, task.Metric{Name: name, Direction: task.Maximize})
	}
	primary := h.settings.Metrics[0]
	h.spec.baseline = map[string]float64{primary: 0}
	h.spec.baselineOrigin = "Harbor's convention: who does nothing earns 0; not measured"
	h.spec.reference = map[string]float64{primary: 1}
	h.spec.referenceOrigin = "Harbor's convention: the solution earns 1; not measured"
	h.report.add(Changed, "reward", "the metric %s; 0 is taken for the baseline and 1 for the reference, so that a reward here is the reward there; mlgym task check measures both", primary)
	h.report.add(Changed, "validate", "runs the tests during an episode as well, where Harbor's agents see no reward before the end")
	return nil
}

// submission decides what is handed in.
func (h *harborImport) submission() error {
	var names []string
	note := "nothing is declared, so that the tests see all of it but links"
	if len(h.opts.Submit) > 0 {
		names, note = h.opts.Submit, "as --submit says"
	}
	for i, a := range h.config.Artifacts {
		key := fmt.Sprintf("artifacts[%d]", i)
		at, ok := a.(string)
		if table, isTable := a.(map[string]any); isTable {
			at, ok = table["source"].(string)
			for _, k := range []string{"destination", "exclude", "service"} {
				if table[k] != nil {
					h.report.add(Left, key+"."+k, "%v: a file is handed in where it lies", table[k])
				}
			}
		}
		if !ok {
			return fmt.Errorf("%s: %s: want a path, or a table with source", path.Join(h.name, "task.toml"), key)
		}
		rel, inside := strings.CutPrefix(path.Clean(path.Join(h.workdir, at)), h.workdir+"/")
		if path.IsAbs(at) {
			rel, inside = strings.CutPrefix(path.Clean(at), h.workdir+"/")
		}
		switch {
		case path.Clean(at) == h.workdir:
			rel = "."
		case !inside:
			h.report.add(Left, key, "%s lies outside of %s, and only files of the workspace are handed in", at, h.workdir)
			continue
		}
		if strings.HasSuffix(at, "/") || path.Ext(rel) == "" && rel != "." {
			rel += "/"
			if !strings.HasSuffix(at, "/") {
				h.report.add(Changed, key, "%s is taken for a folder, since its name has no ending; if it is a file, name it with --submit", at)
			}
		}
		if rel == "." {
			rel = "./"
		}
		if len(h.opts.Submit) == 0 {
			names, note = append(names, rel), "as declared by artifacts; the tests see it over the starter"
		}
	}
	if len(names) == 0 {
		names = []string{"./"}
	}
	if slices.Contains(names, "./") {
		names = []string{"./"}
	}
	for _, name := range names {
		bytes := int64(csvBytes)
		if strings.HasSuffix(name, "/") {
			bytes = workspaceBytes
		}
		h.spec.files = append(h.spec.files, task.SubmissionFile{Path: name, MaxBytes: bytes, Optional: name != "./" && len(h.opts.Submit) == 0})
	}
	h.settings.Whole = h.spec.whole()
	h.report.add(Changed, "what is handed in", "%s: %s (--submit names others)", strings.Join(names, ", "), note)
	return nil
}

// solution makes the reference submission of the solution.
func (h *harborImport) solution() error {
	if !h.dir.has("solution/solve.sh") {
		h.report.add(Left, "solution", "there is none, so mlgym task check has no reference; write tests/reference")
		return nil
	}
	files, err := h.dir.files("solution")
	if err != nil {
		return err
	}
	for name, g := range files {
		h.tree.file("tests/reference/solution/"+name, g)
	}
	env := h.resolve("solution.env", h.config.Solution.Env)
	env["DEBIAN_FRONTEND"] = "noninteractive"
	var list strings.Builder
	for _, name := range sorted(env) {
		fmt.Fprintf(&list, "    %s: %s,\n", quote(name), quote(env[name]))
	}
	h.tree.text("tests/reference/make.py", fmt.Sprintf(`"""The solution that came with the task."""

import os
import shutil
import subprocess
import sys

ENV = {
%s}

code = subprocess.run(["bash", "solution/solve.sh"], env={**os.environ, **ENV}).returncode
shutil.rmtree("solution", ignore_errors=True)
os.remove("make.py")
sys.exit(code)
`, list.String()))
	h.link(&h.spec.links, "/solution", sandbox.WorkDir+"/solution")
	h.report.add(Kept, "solution", "tests/reference runs solve.sh in an agent's sandbox; /solution is a link there that leads nowhere for an agent")
	return nil
}

// write makes the task's folder.
func (h *harborImport) write() (*Report, error) {
	text, err := h.dir.text("instruction.md")
	if err != nil {
		return nil, err
	}
	text, n := stripCanary(text)
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s is empty", path.Join(h.name, "instruction.md"))
	}
	if n > 0 {
		h.report.add(Changed, "instruction.md", "without %d canary lines", n)
	} else {
		h.report.add(Kept, "instruction.md", "%d characters", len(text))
	}
	h.spec.summary = oneLine(strings.TrimLeft(text, "# \n"))
	if c := h.config.Task; c != nil && c.Description != "" {
		h.spec.summary = oneLine(c.Description)
	}
	h.spec.environment = h.opts.Environment
	if h.spec.environment == "none" {
		h.spec.environment = ""
	}
	var secrets []string
	for _, name := range h.tests {
		secrets = append(secrets, "../tests/"+name)
	}
	addTests(h.tree, &h.spec, attacked{script: "test.sh", secrets: secrets, good: goodScore(h.spec.metrics[0])})
	h.report.add(Changed, "checks", "null and %d cheats were written that fit any task", cheatCount())
	folder := taskFolder(h.opts.Out, h.spec.id)
	h.report.Next = append(h.report.Next, "mlgym run --task "+shellWord(folder)+" --agent baseline", "mlgym task check "+shellWord(folder))
	h.tree.text("description.md", strings.TrimSpace(text)+"\n\n"+handingIn(&h.spec))
	h.tree.text("task.yaml", h.spec.yaml("Harbor's "+h.spec.name))
	h.tree.text("grader/grade.py", gradePy)
	h.tree.json("grader/foreign.json", h.settings)
	h.tree.text("README.md", readme(&h.spec, h.report))
	h.tree.text("IMPORT.md", h.report.markdown(harborTrust))
	h.report.Folder, err = h.tree.write(h.opts.Out, h.spec.id)
	return h.report, err
}

const harborTrust = `The tests run in a sandbox of the grader's, on a copy of what was handed in; no agent can reach them, and a reward that it
writes itself lies elsewhere. Tests that leave no reward, an empty one or one that is no finite number are a fault of the
task: the run ends with an error and without a score.

Where the tests run what the agent made, that code runs beside them, as the same user: it can read them then, and write a
reward itself. A score of such a task is only as good as a look at what was handed in.
`

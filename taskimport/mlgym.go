package taskimport

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
	"mlgym/task"
)

// Options of an import. The zero value imports into the working directory.
type Options struct {
	// Out is the folder below which the task's folder is made.
	Out string
	// Root is the folder that paths of a configuration of MLGym begin at: its
	// checkout. "" means the folder above configs/ that the configuration is in,
	// else its own.
	Root string
	// Environment names the Python environment; "" chooses one by what the task's
	// programs import, "none" is the system's Python.
	Environment string
	// Metrics are the names of the metrics, the primary one first; empty takes
	// those of the source.
	Metrics []string
	// Direction of the primary metric; "" goes by its name.
	Direction task.Direction
	// Submit are the files and folders that are handed in; empty chooses.
	Submit []string
	// Hide and Show are files, by their path in the workspace, that the agent does
	// not get, or does, whatever the rule says.
	Hide, Show []string
	// InlineBytes is up to which size local data are copied into the task; larger
	// ones become a data set that is prepared with --from. 0 means 32 MiB.
	InlineBytes int64
}

// mlgymConfig is a task of MLGym as its YAML says. What may be written as null is
// read freely.
type mlgymConfig struct {
	ID                 string               `yaml:"id"`
	Name               string               `yaml:"name"`
	Description        string               `yaml:"description"`
	DatasetConfigs     []string             `yaml:"dataset_configs,optional"`
	TaskEntrypoint     string               `yaml:"task_entrypoint,optional"`
	TrainingTimeout    any                  `yaml:"training_timeout,optional"`
	RequirementsPath   any                  `yaml:"requirements_path,optional"`
	BenchmarkName      any                  `yaml:"benchmark_name,optional"`
	UseGenericConda    *bool                `yaml:"use_generic_conda,optional"`
	StarterCode        []string             `yaml:"starter_code,optional"`
	BaselinePaths      []string             `yaml:"baseline_paths,optional"`
	BaselineScores     []map[string]float64 `yaml:"baseline_scores,optional"`
	SampleSubmission   any                  `yaml:"sample_submission,optional"`
	EvaluationPaths    []string             `yaml:"evaluation_paths,optional"`
	EvaluationReadOnly *bool                `yaml:"evaluation_read_only,optional"`
	SecretFiles        []string             `yaml:"secret_files,optional"`
	MemoryPath         any                  `yaml:"memory_path,optional"`
}

// mlgymData is a data set of MLGym.
type mlgymData struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	DataPath    string `yaml:"data_path"`
	IsLocal     bool   `yaml:"is_local,optional"`
	Train       any    `yaml:"train_split,optional"`
	Valid       any    `yaml:"valid_split,optional"`
	Test        any    `yaml:"test_split,optional"`
}

// entrypoints are the kinds of task of MLGym.
var entrypoints = []string{"CSVSubmissionTasks", "ModelSubmissionTasks", "LMSubmissionTasks", "PythonSubmissionTasks"}

// defaults of MLGym, in seconds and bytes.
const (
	mlgymTimeout   = 3600.0
	inlineBytes    = 32 << 20
	csvBytes       = 64 << 20
	programBytes   = 1 << 20
	workspaceBytes = 256 << 20
)

// mlgymImport is one import under way.
type mlgymImport struct {
	opts   Options
	file   string // the configuration, as it was named
	lines  strictyaml.Lines
	root   source
	config mlgymConfig
	report *Report

	problems []error
	// workspace is what lay in an agent's workspace, by path.
	workspace map[string]given
	hidden    map[string]bool
	docs      strings.Builder
	large     []largeData
	spec      spec
	settings  settings
}

// largeData is a local folder of data that is too large to be copied.
type largeData struct {
	id    string
	below string // where it lay in the workspace
	text  mlgymData
	files map[string]given
	bytes int64
}

// MLGym imports the task of a configuration of MLGym. All that is wrong with the
// configuration is told at once.
func MLGym(config string, opts Options) (*Report, error) {
	m := &mlgymImport{
		opts: opts, file: config, workspace: map[string]given{}, hidden: map[string]bool{},
		report: &Report{From: "MLGym", Source: config, Entries: []Entry{}, Next: []string{}},
	}
	for _, step := range []func() error{m.read, m.gather, m.evaluation, m.measure, m.submission, m.provisions} {
		if err := step(); err != nil {
			return nil, err
		}
		if len(m.problems) > 0 {
			return nil, errors.Join(m.problems...)
		}
	}
	return m.write()
}

// fail notes what is wrong with a key of the configuration.
func (m *mlgymImport) fail(key, format string, args ...any) {
	m.problems = append(m.problems, m.lines.At(m.file, key, format, args...))
}

// read reads the configuration and finds the root of its paths.
func (m *mlgymImport) read() error {
	info, err := os.Stat(m.file)
	if err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder: name the task's YAML file in it, such as configs/tasks/NAME.yaml", m.file)
	}
	own, err := newSource(filepath.Dir(m.file))
	if err != nil {
		return err
	}
	text, err := own.text(filepath.Base(m.file))
	if err != nil {
		return err
	}
	if m.lines, err = strictyaml.Decode(m.file, []byte(text), &m.config); err != nil {
		return err
	}
	root := m.opts.Root
	if root == "" {
		root = filepath.Dir(m.file)
		for dir := own.root; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if filepath.Base(dir) == "configs" {
				root = filepath.Dir(dir)
				break
			}
		}
	}
	if m.root, err = newSource(root); err != nil {
		return fmt.Errorf("the folder that paths begin at (--datasets-root): %w", err)
	}
	c := &m.config
	m.spec.id = c.ID
	if !idPattern.MatchString(c.ID) {
		if m.spec.id = idOf(c.ID); m.spec.id == "" {
			m.fail("id", "want letters, digits, - and _, got %q", c.ID)
		}
		m.report.add(Changed, "id", "%s, since an id here has letters, digits, - and _ only", m.spec.id)
	} else {
		m.report.add(Kept, "id", "%s", c.ID)
	}
	m.report.Task = m.spec.id
	m.spec.name, m.spec.summary = oneLine(c.Name), oneLine(c.Description)
	if m.spec.name == "" || m.spec.summary == "" {
		m.fail("name", "want a name, and a description")
	}
	m.report.add(Kept, "name", "%s", m.spec.name)
	if c.TaskEntrypoint == "" {
		c.TaskEntrypoint = entrypoints[0]
	}
	if !slices.Contains(entrypoints, c.TaskEntrypoint) {
		m.fail("task_entrypoint", "%q is not known%s (known are %s)", c.TaskEntrypoint, nearest.Hint(c.TaskEntrypoint, entrypoints), strings.Join(entrypoints, ", "))
	}
	return nil
}

// gather lists what lies in an agent's workspace there: starter files flat, data
// below data/.
func (m *mlgymImport) gather() error {
	for i, name := range m.config.StarterCode {
		key := fmt.Sprintf("starter_code[%d]", i)
		m.place(key, name, "", true)
	}
	var local int
	for i, name := range m.config.DatasetConfigs {
		m.dataset(fmt.Sprintf("dataset_configs[%d]", i), name, &local)
	}
	if len(m.config.StarterCode) > 0 {
		m.report.add(Kept, "starter_code", "%d entries, %d files in the workspace with the data; which of them are hidden is told below", len(m.config.StarterCode), len(m.workspace))
	}
	return nil
}

// place adds a file or folder of the source to the workspace.
func (m *mlgymImport) place(key, name, below string, keepName bool) {
	files, err := m.root.files(strings.TrimSuffix(name, "/"))
	if err != nil {
		m.fail(key, "%v%s", err, m.rootHint())
		return
	}
	_, info, err := m.root.find(strings.TrimSuffix(name, "/"))
	if err != nil {
		m.fail(key, "%v", err)
		return
	}
	if info.IsDir() && keepName {
		below = path.Join(below, path.Base(path.Clean(name)))
	}
	for rel, g := range files {
		at := path.Join(below, rel)
		if strings.HasPrefix(path.Base(at), ".") {
			m.report.add(Left, key, "%s is hidden (its name begins with a dot), and the starter has no such files", at)
			continue
		}
		if other, taken := m.workspace[at]; taken && other.at != g.at {
			m.fail(key, "%s is in the workspace already: two files of one name", at)
			continue
		}
		m.workspace[at] = g
	}
}

func (m *mlgymImport) rootHint() string {
	if m.opts.Root != "" {
		return ""
	}
	return "; paths begin at that folder unless --datasets-root DIR names another"
}

// dataset reads one configuration of data.
func (m *mlgymImport) dataset(key, name string, local *int) {
	found := ""
	for _, at := range []string{path.Join("configs", name), name} {
		if m.root.has(at) {
			found = at
			break
		}
	}
	if found == "" {
		_, _, err := m.root.find(path.Join("configs", name))
		m.fail(key, "%v%s", err, m.rootHint())
		return
	}
	text, err := m.root.text(found)
	if err != nil {
		m.fail(key, "%v", err)
		return
	}
	var d mlgymData
	lines, err := strictyaml.Decode(found, []byte(text), &d)
	if err != nil {
		m.problems = append(m.problems, err)
		return
	}
	fmt.Fprintf(&m.docs, "%s:\n%s\n\n", strings.ToUpper(d.Name), d.Description)
	for split, value := range map[string]any{"train_split": d.Train, "valid_split": d.Valid, "test_split": d.Test} {
		if value != nil {
			m.report.add(Left, found+": "+split, "MLGym does not look at it either; name files that the agent must not get with --hide")
		}
	}
	if !d.IsLocal {
		m.report.add(Left, key, "%s (%s) is on the Hugging Face Hub, and sandboxes have no network: make it a data set of the task (docs/guide/write-a-task.md), or give its files with starter_code", d.Name, d.DataPath)
		return
	}
	files, err := m.root.files(strings.TrimSuffix(d.DataPath, "/"))
	if err != nil {
		m.problems = append(m.problems, lines.At(found, "data_path", "%v%s", err, m.rootHint()))
		return
	}
	var total int64
	for _, g := range files {
		total += g.bytes
	}
	limit := m.opts.InlineBytes
	if limit == 0 {
		limit = inlineBytes
	}
	below := "data"
	if *local > 0 { // what is copied into a folder that is there keeps its name
		below = path.Join("data", path.Base(path.Clean(d.DataPath)))
	}
	*local++
	if total > limit {
		m.large = append(m.large, largeData{id: idOf(d.Name), below: below, text: d, files: files, bytes: total})
		for rel, g := range files {
			g.prepared = true
			m.workspace[path.Join(below, rel)] = g
		}
		m.settings.Data = below
		return
	}
	m.place(key, d.DataPath, below, false)
	m.report.add(Changed, key, "%s: %d files (%d bytes) below %s/ as before, in the starter; the agent's copy can be written, the evaluation reads its own", d.Name, len(files), total, below)
}

// names reports whether a text names a file.
func names(text, file string) bool {
	base := path.Base(file)
	if strings.Contains(text, base) {
		return true
	}
	stem, ok := strings.CutSuffix(base, ".py")
	return ok && regexp.MustCompile(`(?m)^\s*(from|import)\s[^#\n]*\b`+regexp.QuoteMeta(stem)+`\b`).MatchString(text)
}

// textOf returns a file of the workspace where it is a text that may name others.
func (m *mlgymImport) textOf(name string) string {
	const most = 1 << 20
	switch path.Ext(name) {
	case ".py", ".md", ".txt", ".yaml", ".yml", ".sh", ".toml", ".cfg", ".ipynb", ".rst":
	default:
		return ""
	}
	g := m.workspace[name]
	if g.bytes > most {
		return ""
	}
	text, err := os.ReadFile(g.at)
	if err != nil {
		return ""
	}
	return string(text)
}

// find finds a file of the workspace by its path there, in the source, or its name.
func (m *mlgymImport) find(name string) (string, bool) {
	clean := path.Clean(filepath.ToSlash(name))
	if _, ok := m.workspace[clean]; ok {
		return clean, true
	}
	if at, _, err := m.root.find(clean); err == nil {
		for _, ws := range sorted(m.workspace) {
			if m.workspace[ws].at == at {
				return ws, true
			}
		}
	}
	return "", false
}

// evaluation finds the evaluation script and decides what the agent does not get.
func (m *mlgymImport) evaluation() error {
	c := &m.config
	if len(c.EvaluationPaths) == 0 {
		m.fail("evaluation_paths", "missing: there is nothing that scores")
		return nil
	}
	for key, list := range map[string][]string{"evaluation_paths": c.EvaluationPaths, "secret_files": c.SecretFiles, "--hide": m.opts.Hide} {
		for i, name := range list {
			ws, ok := m.find(name)
			if !ok {
				m.fail(fmt.Sprintf("%s[%d]", key, i), "%s: %s is not in the workspace; starter_code has to bring it%s", key, name, nearest.Hint(name, sorted(m.workspace)))
				continue
			}
			m.hidden[ws] = true
			if key == "evaluation_paths" && i == 0 {
				m.settings.Script = ws
			}
		}
	}
	for _, name := range m.opts.Show {
		if _, ok := m.find(name); !ok {
			m.problems = append(m.problems, fmt.Errorf("--show %s: it is not in the workspace%s", name, nearest.Hint(name, sorted(m.workspace))))
		}
	}
	if len(m.problems) > 0 {
		return nil
	}
	m.report.add(Changed, "evaluation_paths", "%s lies in grader/hidden and is run in a sandbox of the grader's, which the agent cannot reach", m.settings.Script)
	if len(c.EvaluationPaths) > 1 {
		m.report.add(Left, "evaluation_paths", "only the first one is run, as by MLGym")
	}
	if len(c.SecretFiles) > 0 {
		m.report.add(Changed, "secret_files", "%s: hidden indeed; MLGym does not do it yet", strings.Join(c.SecretFiles, ", "))
	}
	m.hideByRule()
	if c.EvaluationReadOnly != nil {
		m.report.add(Changed, "evaluation_read_only", "the agent has no evaluation script that it could change, whatever this says")
	}
	return nil
}

// hideByRule hides what the evaluation names and nothing that the agent is given
// does: labels, an opponent, an engine.
func (m *mlgymImport) hideByRule() {
	shown := map[string]bool{}
	for _, name := range m.opts.Show {
		ws, _ := m.find(name)
		shown[ws] = true
	}
	for changed := true; changed; {
		changed = false
		secret, open := m.secretText(), m.config.Description+m.docs.String()
		for _, name := range sorted(m.workspace) {
			if m.hidden[name] || shown[name] || !names(secret, name) || names(open, name) || m.isSubmitted(name) {
				continue
			}
			named := false
			for _, other := range sorted(m.workspace) {
				if other != name && !m.hidden[other] && names(m.textOf(other), name) {
					named = true
					break
				}
			}
			if !named {
				m.hidden[name], changed = true, true
				m.report.add(Changed, name, "hidden: the evaluation names it, and nothing that the agent is given does (--show %s undoes it)", name)
			}
		}
	}
	var data []string
	for _, name := range sorted(m.workspace) {
		if !m.hidden[name] && path.Ext(name) != ".py" && names(m.secretText(), name) {
			data = append(data, name)
		}
	}
	if len(data) > 0 {
		m.report.add(Kept, "shown to the agent", "%s: the evaluation reads it too. If labels of the test are in there, hide them with --hide", strings.Join(data[:min(len(data), 8)], ", "))
	}
}

func (m *mlgymImport) secretText() string {
	var b strings.Builder
	for _, name := range sorted(m.workspace) {
		if m.hidden[name] {
			b.WriteString(m.textOf(name) + "\n")
		}
	}
	return b.String()
}

func (m *mlgymImport) isSubmitted(name string) bool { return slices.Contains(m.opts.Submit, name) }

// minimized are words in names of metrics of which less is better.
var minimized = regexp.MustCompile(`(?i)loss|err|rmse|mse|mae|perplexity|ppl|time|latency|distance|regret|cost`)

// measure finds the metrics and the stored baseline.
func (m *mlgymImport) measure() error {
	c := &m.config
	var stored map[string]float64
	if len(c.BaselineScores) > 0 {
		stored = c.BaselineScores[0]
	}
	list := m.opts.Metrics
	if len(list) == 0 {
		list = sorted(stored)
		// The first key in the file is the one that MLGym's tables rank by.
		slices.SortStableFunc(list, func(a, b string) int {
			return m.lines["baseline_scores[0]."+a] - m.lines["baseline_scores[0]."+b]
		})
	}
	if len(list) == 0 {
		m.fail("baseline_scores", "missing, so the metric's name is not known: name the key that %s prints with --metric NAME, and --direction minimize where less is better", m.settings.Script)
		return nil
	}
	for i, name := range list {
		direction := task.Maximize
		if minimized.MatchString(name) {
			direction = task.Minimize
		}
		if i == 0 && m.opts.Direction != "" {
			direction = m.opts.Direction
		} else {
			m.report.add(Changed, "direction of "+name, "%s, by its name, since the configuration does not say (--direction decides for the first one)", direction)
		}
		m.spec.metrics = append(m.spec.metrics, task.Metric{Name: name, Direction: direction})
	}
	m.settings.Metrics = list
	primary := list[0]
	if value, ok := stored[primary]; ok {
		m.spec.baseline = map[string]float64{primary: value}
		for _, name := range list[1:] {
			if v, ok := stored[name]; ok {
				m.spec.baseline[name] = v
			}
		}
		m.spec.baselineOrigin = "baseline_scores of the imported configuration, measured there"
		m.report.add(Kept, "baseline_scores", "%s %s; mlgym task check measures it here", primary, number(value))
	} else if len(stored) > 0 {
		m.report.add(Left, "baseline_scores", "it has no %s", primary)
	}
	if len(c.BaselineScores) > 1 {
		m.report.add(Left, "baseline_scores", "those after the first are of other data sets; a task here has one")
	}
	m.report.add(Left, "reference", "MLGym has none, so there is no reward yet: measure a good score, and write it into task.yaml and tests/reference")
	return nil
}

// submission decides what is handed in and how the evaluation is called.
func (m *mlgymImport) submission() error {
	c := &m.config
	m.settings.Kind = "mlgym"
	note := ""
	switch {
	case len(m.opts.Submit) > 0:
		for _, name := range m.opts.Submit {
			m.handIn(name)
		}
		note = "as --submit says"
	case c.TaskEntrypoint == "CSVSubmissionTasks":
		m.handIn("submission.csv")
		note = "as there"
	case c.TaskEntrypoint == "PythonSubmissionTasks":
		for _, name := range m.programs() {
			m.handIn(name)
		}
		note = "named in the description and by the evaluation"
	}
	if len(m.spec.files) == 0 {
		m.handIn("./")
		note = "what of it the evaluation reads is not known"
	}
	if m.spec.whole() && len(m.large) > 0 {
		m.problems = append(m.problems, fmt.Errorf("%s: the whole workspace would be handed in, and its data (%d bytes) are too large to be part of it: name the files with --submit", m.file, m.large[0].bytes))
		return nil
	}
	var list []string
	for _, f := range m.spec.files {
		list = append(list, f.Path)
	}
	m.report.add(Changed, "what is handed in", "%s: %s; only that leaves the agent's sandbox (--submit names others)", strings.Join(list, ", "), note)
	switch c.TaskEntrypoint {
	case "CSVSubmissionTasks":
		m.settings.Arguments = []string{"--submission_file", m.spec.files[0].Path}
		m.report.add(Kept, "task_entrypoint", "%s: %s --submission_file %s, which prints JSON", c.TaskEntrypoint, m.settings.Script, m.spec.files[0].Path)
	case "PythonSubmissionTasks":
		m.report.add(Kept, "task_entrypoint", "%s: %s is run in the workspace and prints JSON; it runs the agent's program beside it", c.TaskEntrypoint, m.settings.Script)
	case "ModelSubmissionTasks":
		m.settings.FirstYAML = "--config_fname"
		m.report.add(Changed, "task_entrypoint", "%s: %s --config_fname with the first YAML file, now by name and without those below data/", c.TaskEntrypoint, m.settings.Script)
	case "LMSubmissionTasks":
		m.settings.Module = []string{"torch.distributed.run", "--nproc_per_node=1", "--standalone"}
		m.report.add(Changed, "task_entrypoint", "%s: %s is run by torchrun with one process, not with one for each GPU", c.TaskEntrypoint, m.settings.Script)
	}
	m.settings.Whole = m.spec.whole()
	if m.settings.Whole && m.settings.Module == nil {
		m.report.add(Changed, "modules", "where Python looks for one, its own and those of the environment come before those of the workspace, so that nobody hands in a json.py")
	}
	if m.settings.Whole {
		for _, name := range sorted(m.workspace) {
			if strings.HasPrefix(name, "data/") && !m.workspace[name].prepared {
				m.settings.Restored = []string{"data"}
				break
			}
		}
	}
	return nil
}

// handIn adds a file or folder to the submission.
func (m *mlgymImport) handIn(name string) {
	size := int64(csvBytes)
	switch {
	case strings.HasSuffix(name, "/"):
		size = workspaceBytes
	case strings.HasSuffix(name, ".py"):
		size = programBytes
	}
	m.spec.files = append(m.spec.files, task.SubmissionFile{Path: name, MaxBytes: size})
}

// programs are the Python files that an agent is asked for.
func (m *mlgymImport) programs() []string {
	var found []string
	secret := m.secretText()
	for _, name := range regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_/-]*\.py\b`).FindAllString(m.config.Description, -1) {
		if !m.hidden[name] && names(secret, name) && !slices.Contains(found, name) && !slices.Contains(m.config.BaselinePaths, name) {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		m.report.add(Changed, "what is handed in", "more than one program was found: is one of them not the agent's to change, such as an opponent? Then name the others with --submit")
	}
	return found
}

// provisions decides on environment, data sets, limits and baseline.
func (m *mlgymImport) provisions() error {
	c := &m.config
	m.spec.training, m.spec.evaluation = mlgymTimeout, mlgymTimeout
	switch seconds := c.TrainingTimeout.(type) {
	case nil:
		m.report.add(Kept, "training_timeout", "3600 s, MLGym's own where nothing is said")
	case int64:
		if seconds < 1 {
			m.fail("training_timeout", "want 1 or more seconds, got %d", seconds)
		}
		m.spec.training, m.spec.evaluation = float64(seconds), float64(seconds)
		m.report.add(Kept, "training_timeout", "%d s, for a command and for the evaluation", seconds)
	default:
		m.fail("training_timeout", "want a whole number of seconds, got %v", seconds)
	}
	m.settings.TimeoutSeconds = m.spec.evaluation
	m.environment()
	switch {
	case len(c.BaselinePaths) > 0:
		ws, ok := m.find(c.BaselinePaths[0])
		if !ok {
			m.fail("baseline_paths[0]", "%s is not in the workspace; starter_code has to bring it%s", c.BaselinePaths[0], nearest.Hint(c.BaselinePaths[0], sorted(m.workspace)))
			break
		}
		m.spec.baselineCommand = "python3 " + shellWord(ws)
		if c.TaskEntrypoint == "LMSubmissionTasks" {
			m.spec.baselineCommand = "python3 -m torch.distributed.run --nproc_per_node=1 --standalone " + shellWord(ws)
		}
		m.report.add(Kept, "baseline_paths", "%s", m.spec.baselineCommand)
		if len(c.BaselinePaths) > 1 {
			m.report.add(Left, "baseline_paths", "only the first one is run, as by MLGym")
		}
	default:
		m.sampleAsBaseline()
	}
	if path, ok := c.SampleSubmission.(string); ok && path != "" {
		if _, there := m.find(path); there {
			m.report.add(Kept, "sample_submission", "%s, in the starter", path)
		} else {
			m.place("sample_submission", path, "", true)
			m.report.add(Changed, "sample_submission", "%s is put into the starter", path)
		}
	}
	if c.BenchmarkName != nil {
		m.report.add(Left, "benchmark_name", "%v: tasks here are in no benchmark", c.BenchmarkName)
	}
	if c.MemoryPath != nil {
		m.report.add(Left, "memory_path", "%v: no memory is kept from one episode to the next", c.MemoryPath)
	}
	if len(m.large) > 1 {
		m.problems = append(m.problems, fmt.Errorf("%s: more than one data set is too large to be copied; copy them with --copy-mb, or make them one", m.file))
	}
	for _, d := range m.large {
		if !idPattern.MatchString(d.id) {
			m.problems = append(m.problems, fmt.Errorf("data set %q: its name makes no id", d.text.Name))
			continue
		}
		m.spec.datasets = append(m.spec.datasets, d.id)
		m.report.add(Changed, "dataset "+d.text.Name, "%d files, %d bytes: a data set of its own, prepared from your folder; the agent sees it at data/%s/ and not at data/, so look at the description and the programs", len(d.files), d.bytes, splitOf(d.id))
	}
	return nil
}

// sampleAsBaseline takes a sample submission as the baseline, where it is in the
// workspace.
func (m *mlgymImport) sampleAsBaseline() {
	if m.config.TaskEntrypoint != "CSVSubmissionTasks" {
		m.report.add(Left, "baseline_paths", "none; what the starter is, is the baseline")
		return
	}
	sample, _ := m.config.SampleSubmission.(string)
	if sample != "" {
		m.spec.baselineCommand = fmt.Sprintf("cp %s %s", shellWord(path.Base(sample)), shellWord(m.spec.files[0].Path))
		m.report.add(Changed, "baseline_paths", "none; the sample submission is handed in as the baseline")
		return
	}
	m.report.add(Left, "baseline_paths", "none, so --agent baseline has nothing to hand in: write a program and baseline_command into task.yaml")
}

// environment chooses the Python environment.
func (m *mlgymImport) environment() {
	c := &m.config
	var wanted strings.Builder
	if p, ok := c.RequirementsPath.(string); ok && p != "" {
		text, err := m.root.text(p)
		if err != nil {
			m.fail("requirements_path", "%v", err)
		}
		wanted.WriteString(text)
	}
	for _, name := range sorted(m.workspace) {
		if path.Ext(name) == ".py" {
			wanted.WriteString("\n" + m.textOf(name))
		}
	}
	m.spec.environment = chooseEnvironment(m.opts.Environment, wanted.String())
	what := "the system's Python"
	if m.spec.environment != "" {
		what = "our environment " + m.spec.environment + ", whose versions may be others"
	}
	if c.UseGenericConda != nil || c.RequirementsPath == nil {
		m.report.add(Changed, "use_generic_conda", "%s (--environment names another)", what)
	}
	if c.RequirementsPath != nil {
		m.report.add(Changed, "requirements_path", "%v is not installed; %s (--environment names another)", c.RequirementsPath, what)
	}
}

var (
	jaxWords   = regexp.MustCompile(`(?m)^\s*(import|from)?\s*(jax|flax|optax|gymnax|haiku)\b`)
	torchWords = regexp.MustCompile(`(?m)^\s*(import|from)?\s*(torch|torchvision|transformers|datasets|tokenizers|accelerate|nltk)\b`)
)

// chooseEnvironment goes by what programs import, or requirements name.
func chooseEnvironment(asked, text string) string {
	switch {
	case asked == "none":
		return ""
	case asked != "":
		return asked
	case jaxWords.MatchString(text):
		return "jax"
	case torchWords.MatchString(text):
		return "torch"
	}
	return "tabular"
}

// shellWord quotes a path for the shell where it has to be.
func shellWord(name string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./-]+$`).MatchString(name) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

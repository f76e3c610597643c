package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"mlgym/stats"
)

// Task is what a report needs to know of a task.
type Task struct {
	ID string `json:"id"`
	// Name stands in tables, Short in figures.
	Name  string `json:"name"`
	Short string `json:"short"`
	// Metric decides on the ranking; Aliases are other names under which the
	// same quantity appears in records.
	Metric    string          `json:"metric"`
	Direction stats.Direction `json:"-"`
	// DirectionName is "maximize" or "minimize".
	DirectionName string `json:"direction"`
	// Baseline is the declared score of the starter code, and Reference the
	// score that counts as 1 in normalised scores; nil if none is declared.
	Baseline  *float64 `json:"baseline,omitempty"`
	Reference *float64 `json:"reference,omitempty"`
	// Low and High bound the scores that the task can give, nil for no bound.
	// Ratios of tasks with negative scores are taken from Low upwards.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// Audit is what the audit of records needs to know.
	Audit *AuditRules `json:"audit,omitempty"`
}

// AuditRules are what package audit needs to know of a task in which the
// grader lives in the agent's own folder.
type AuditRules struct {
	// Protected names the files that the grader imports or that hold data, by
	// their path below the workspace; a trailing slash means all below.
	Protected []string `json:"protected,omitempty"`
	// Labels are files that hold what is to be predicted.
	Labels []string `json:"labels,omitempty"`
	// ScoredSplit is how training on the scored split looks in code (regular
	// expressions).
	ScoredSplit []string `json:"scored_split,omitempty"`
	// SelfScored: the agent hands in the numbers that are averaged. InProcess:
	// the submission runs in the grader's process.
	SelfScored bool `json:"self_scored,omitempty"`
	InProcess  bool `json:"in_process,omitempty"`
	// Plausible is the best score that can honestly be expected.
	Plausible *float64 `json:"plausible,omitempty"`
}

// Model is what a report needs to know of a model.
type Model struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Short string `json:"short"`
	// Unlisted models take part only when they are asked for by name.
	Unlisted bool `json:"unlisted,omitempty"`
	// Price is nil where none is known: the cost is then unknown, not zero.
	Price *Price `json:"price,omitempty"`
}

// Price of a model in US dollars per million tokens.
type Price struct {
	InputUSD  float64 `json:"input_usd_per_mtok"`
	OutputUSD float64 `json:"output_usd_per_mtok"`
}

// CostUSD is the price of the given numbers of tokens.
func (p Price) CostUSD(sent, received float64) float64 {
	// Divided first: the published evaluation holds prices per token.
	return sent*(p.InputUSD/1e6) + received*(p.OutputUSD/1e6)
}

// Catalog holds the tasks and models of a benchmark, in the order in which they
// take part.
type Catalog struct {
	Tasks  []Task  `json:"tasks"`
	Models []Model `json:"models"`
}

// Task finds a task by id.
func (c *Catalog) Task(id string) (Task, bool) {
	i := slices.IndexFunc(c.Tasks, func(t Task) bool { return t.ID == id })
	if i < 0 {
		return Task{}, false
	}
	return c.Tasks[i], true
}

// Model finds a model by id; an unknown one is named by its id.
func (c *Catalog) Model(id string) (Model, bool) {
	i := slices.IndexFunc(c.Models, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return Model{ID: id, Name: id, Short: id}, false
	}
	return c.Models[i], true
}

// Extend adds the entries of a JSON catalogue, which has the form of this type;
// an entry with a known id replaces what it gives. The error names the entry.
func (c *Catalog) Extend(r io.Reader) error {
	var more struct {
		Tasks  []json.RawMessage `json:"tasks"`
		Models []json.RawMessage `json:"models"`
	}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&more); err != nil {
		return err
	}
	for i, raw := range more.Tasks {
		var t Task
		if err := strict(raw, &t); err != nil {
			return fmt.Errorf("tasks[%d]: %w", i, err)
		}
		at := slices.IndexFunc(c.Tasks, func(have Task) bool { return have.ID == t.ID })
		if at >= 0 {
			t = c.Tasks[at]
			t.Baseline, t.Reference, t.Low, t.High = clone(t.Baseline), clone(t.Reference), clone(t.Low), clone(t.High)
			if err := strict(raw, &t); err != nil {
				return fmt.Errorf("tasks[%d]: %w", i, err)
			}
		}
		switch t.DirectionName {
		case "maximize":
			t.Direction = stats.Maximize
		case "minimize":
			t.Direction = stats.Minimize
		default:
			return fmt.Errorf("tasks[%d]: direction is %q; it must be maximize or minimize", i, t.DirectionName)
		}
		if t.ID == "" || t.Metric == "" {
			return fmt.Errorf("tasks[%d]: id and metric must be given", i)
		}
		if t.Name == "" {
			t.Name = t.ID
		}
		if t.Short == "" {
			t.Short = t.Name
		}
		if at >= 0 {
			c.Tasks[at] = t
		} else {
			c.Tasks = append(c.Tasks, t)
		}
	}
	for i, raw := range more.Models {
		var m Model
		if err := strict(raw, &m); err != nil {
			return fmt.Errorf("models[%d]: %w", i, err)
		}
		if m.ID == "" {
			return fmt.Errorf("models[%d]: id must be given", i)
		}
		at := slices.IndexFunc(c.Models, func(have Model) bool { return have.ID == m.ID })
		if at >= 0 {
			m = c.Models[at]
			if m.Price != nil {
				price := *m.Price
				m.Price = &price
			}
			if err := strict(raw, &m); err != nil {
				return fmt.Errorf("models[%d]: %w", i, err)
			}
			c.Models[at] = m
			continue
		}
		if m.Name == "" {
			m.Name = m.ID
		}
		if m.Short == "" {
			m.Short = m.Name
		}
		c.Models = append(c.Models, m)
	}
	return nil
}

// strict decodes JSON and refuses keys that nothing reads.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func clone(p *float64) *float64 {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// testTraining and validationTraining are how code looks that trains on the
// split that is scored. Code that merely selects a checkpoint on it is not
// meant: the published starters do so.
var (
	testTraining = []string{
		`ConcatDataset\(\[[^\n]*test`, `concatenate_datasets\(\[[^\n]*test`, `split\s*=\s*["'](?:train\s*\+\s*test|test\s*\+\s*train)["']`,
		`train_(?:dataset|data|ds|set)\s*=\s*\w*\(?[^\n=]*\[?["']test["']`,
	}
	validationTraining = []string{
		`concatenate_datasets\(\[[^\n]*validation`, `ConcatDataset\(\[[^\n]*val`,
		`train_(?:dataset|data|ds|set)\s*=\s*[^\n=]*["']validation(?:_matched)?["']`,
	}
)

// MLGymBench is the catalogue of the published benchmark: thirteen tasks and
// the models of its tables, with the prices its authors used. References are
// the best scores published; bounds follow from the definition of the metrics.
func MLGymBench() *Catalog {
	num := func(x float64) *float64 { return &x }
	inf := math.Inf(1)
	opt := func(x float64) *float64 {
		if math.IsInf(x, 0) {
			return nil
		}
		return &x
	}
	task := func(id, name, short, metric string, d stats.Direction, baseline, reference, low, high float64, rules ...func(*AuditRules)) Task {
		audit := &AuditRules{Protected: []string{"evaluate.py", "data/"}}
		for _, rule := range rules {
			rule(audit)
		}
		return Task{
			ID: id, Name: name, Short: short, Metric: metric, Direction: d, DirectionName: d.String(),
			Baseline: num(baseline), Reference: num(reference), Low: opt(low), High: opt(high), Audit: audit,
		}
	}
	protect := func(files ...string) func(*AuditRules) {
		return func(a *AuditRules) { a.Protected = append(a.Protected, files...) }
	}
	inProcess := func(a *AuditRules) { a.InProcess = true }
	selfScored := func(a *AuditRules) { a.SelfScored = true }
	plausible := func(x float64) func(*AuditRules) { return func(a *AuditRules) { a.Plausible = &x } }
	labels := func(files ...string) func(*AuditRules) {
		return func(a *AuditRules) { a.Labels = append(a.Labels, files...) }
	}
	trains := func(patterns ...string) func(*AuditRules) {
		return func(a *AuditRules) { a.ScoredSplit = append(a.ScoredSplit, patterns...) }
	}
	model := func(id, name, short string, in, out float64) Model {
		return Model{ID: id, Name: name, Short: short, Price: &Price{in, out}}
	}
	c := &Catalog{
		Tasks: []Task{
			task("regressionKaggleHousePrice", "House Price", "Regression", "r2", stats.Maximize, 0.8799891474739243, 0.931, -inf, 1, plausible(0.97), labels("data/answer.csv"), protect("data/answer.csv", "data/test.csv", "data/train.csv", "data/validation.csv")),
			task("3SATTime", "3-SAT", "3-SAT", "Time", stats.Minimize, 16.158, 11.894, 0, inf, protect("solver.py", "data/dataset.pkl"), inProcess, plausible(6)),
			task("imageClassificationCifar10", "CIFAR-10", "CIFAR-10", "accuracy", stats.Maximize, 0.4971, 0.895, 0, 1, plausible(0.98), trains(testTraining...)),
			task("imageClassificationFMnist", "Fashion MNIST", "F-MNIST", "accuracy", stats.Maximize, 0.7835, 0.945, 0, 1, plausible(0.97), trains(testTraining...)),
			task("imageCaptioningCOCO", "MS-COCO", "MS-COCO", "BLEU Score", stats.Maximize, 0.2793602467563585, 0.473, 0, 1, selfScored, plausible(0.6), protect("data/test_images.parquet", "data/val_images.parquet", "data/train_images.parquet")),
			task("languageModelingFineWeb", "Language Modeling", "FineWeb", "val_loss", stats.Minimize, 4.672730922698975, 3.966, 0, inf, plausible(3)),
			task("naturalLanguageInferenceMNLI", "MNLI", "MNLI", "validation_accuracy", stats.Maximize, 52.51146204788589, 84.249, 0, 100, plausible(91), trains(validationTraining...)),
			task("battleOfSexes", "Battle of Sexes", "BoS", "Score", stats.Maximize, 1.0226699113845825, 1.445, 0, 2, protect("target.py"), inProcess, plausible(1.46)),
			task("prisonersDilemma", "Prisoners Dilemma", "PD", "Score", stats.Maximize, 2.3716301918029785, 2.634, 0, 5, protect("target.py"), inProcess, plausible(2.68)),
			task("blotto", "Blotto", "Blotto", "Score", stats.Maximize, -0.24797001481056213, 0.25, -1, 1, protect("target.py"), inProcess, plausible(0.3)),
			task("rlBreakoutMinAtar", "Breakout", "Breakout", "Reward Mean", stats.Maximize, 48.81718826293945, 71.389, 0, inf, protect("src/helpers.py")),
			task("rlMetaMazeMisc", "Meta Maze", "Maze", "Reward Mean", stats.Maximize, 15.734375, 48.562, 0, inf, protect("src/helpers.py")),
			task("rlMountainCarContinuous", "Mountain Car Continuous", "MountainCar", "Reward Mean", stats.Maximize, 33.793758392333984, 74.737, -inf, 100, protect("src/helpers.py")),
		},
		Models: []Model{
			model("gpt4o2", "GPT-4o", "GPT-4o", 2.5, 10),
			model("gpt-o3-mini", "O3-mini", "O3-mini", 1.1, 4.4),
			model("gpt-o1", "O1-preview", "O1-preview", 15, 60),
			model("deepseek-r1", "DeepSeek-R1", "R1", 0.55, 2.19),
			model("llama3-405b-tools", "Llama-3.1-405B", "Llama-405B", 3.5, 3.5),
			model("llama4-17b-16", "Llama-4-Scout", "Llama-4-Scout", 0.18, 0.59),
			model("llama4-17b-128", "Llama-4-Maverick", "Llama-4-Maverick", 0.27, 0.85),
			model("claude-35-sonnet-new", "Claude-3.5-Sonnet", "Claude-3.5-Sonnet", 3, 15),
			model("claude-37-sonnet", "Claude-3.7-Sonnet", "Claude-3.7-Sonnet", 3, 15),
			model("gemini-15-pro", "Gemini-1.5-Pro", "Gemini-1.5-Pro", 1.25, 5),
			model("gemini-20-flash-thinking", "Gemini-2.0-Flash", "Gemini-2.0-Flash", 0.10, 0.40),
			model("gemini-25-pro", "Gemini-2.5-Pro", "Gemini-2.5-Pro", 1.25, 10),
		},
	}
	pro := model("gemini-20-pro", "Gemini-2.0-Pro", "Gemini-2.0-Pro", 1.25, 5)
	pro.Unlisted = true
	c.Models = append(c.Models, pro)
	return c
}

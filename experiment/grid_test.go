package experiment

import (
	"context"
	"strings"
	"testing"

	"mlgym"
	"mlgym/task"
)

func planner(gpus int) *Planner {
	return &Planner{
		Secret: []byte("a secret of a test"), GPUs: gpus,
		Provide: func(context.Context, *task.Task, string) (mlgym.Provided, error) {
			return mlgym.Provided{Digests: map[string]string{"data x": "sha256:1"}}, nil
		},
	}
}

func gridFile() *File {
	small, steps := "small", 7
	return &File{
		Format: FileFormat, Tasks: []string{"battleOfSexes", "blotto"}, Agents: []Agent{{Agent: "demo"}, {Agent: "baseline"}}, Seeds: int64(2),
		Settings: Settings{Variant: &small, MaxSteps: &steps},
	}
}

func ids(t *testing.T, p *Planner, f *File) map[string]ID {
	t.Helper()
	plan, err := p.Plan(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ID{}
	for _, c := range plan.Cells {
		out[c.Name] = c.ID
	}
	if len(out) != len(plan.Cells) {
		t.Fatalf("%d episodes have %d names", len(plan.Cells), len(out))
	}
	return out
}

// TestIdentity changes one thing after the other: what decides an episode gives
// it another name, and nothing else does.
func TestIdentity(t *testing.T) {
	before := ids(t, planner(0), gridFile())
	if len(before) != 8 {
		t.Fatalf("%d episodes, want 8", len(before))
	}
	tests := []struct {
		name    string
		change  func(p *Planner, f *File)
		decides bool
	}{
		{"nothing", func(*Planner, *File) {}, false},
		{"how many at once", func(_ *Planner, f *File) { f.Parallel, f.Gradings = 9, 3 }, false},
		{"retries and budgets", func(_ *Planner, f *File) { f.Retries, f.Budget = new(7), Limits{USD: 4, Tokens: 9, Hours: 1} }, false},
		{"the secret", func(p *Planner, _ *File) { p.Secret = []byte("another one") }, false},
		{"limits", func(_ *Planner, f *File) { f.Settings.MaxSteps = new(8) }, true},
		{"memory of the sandbox", func(_ *Planner, f *File) { f.Settings.MemoryMB = new(int64(99)) }, true},
		{"the reward", func(_ *Planner, f *File) { f.Settings.Reward = new("terminal") }, true},
		{"the mode", func(_ *Planner, f *File) { f.Settings.Mode = new("published") }, true},
		{"the variant", func(_ *Planner, f *File) { f.Settings.Variant = new("full") }, true},
		{"the sandbox", func(_ *Planner, f *File) { f.Settings.Sandbox = new("oci") }, true},
		{"the data", func(p *Planner, _ *File) {
			p.Provide = func(context.Context, *task.Task, string) (mlgym.Provided, error) {
				return mlgym.Provided{Digests: map[string]string{"data x": "sha256:2"}}, nil
			}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, f := planner(0), gridFile()
			tt.change(p, f)
			after := ids(t, p, f)
			for name, id := range before {
				if (after[name] != id) != tt.decides {
					t.Errorf("%s was %s and is %s; want another name: %v", name, id, after[name], tt.decides)
				}
			}
		})
	}
	f := gridFile()
	f.Agents[0].Name, f.Seeds = "mine", int64(3)
	renamed := ids(t, planner(0), f)
	if len(renamed) != 12 || renamed["blotto.mine.s1"] != before["blotto.demo.s1"] {
		t.Errorf("an agent of another name is another episode, or the grid did not grow: %v", renamed)
	}
}

func TestModelDecides(t *testing.T) {
	seen := map[ID]string{}
	for name, agent := range map[string]Agent{
		"a model":        {Agent: "llm", Model: "openai/a"},
		"another model":  {Agent: "llm", Model: "openai/b"},
		"a server":       {Agent: "llm", Model: "openai/a", BaseURL: "http://127.0.0.1:1/v1"},
		"a scaffold":     {Agent: "llm", Model: "openai/a", Scaffold: "xml"},
		"shorter answer": {Agent: "llm", Model: "openai/a", MaxTokens: 9},
	} {
		f := gridFile()
		f.Tasks, f.Agents, f.Seeds = f.Tasks[:1], []Agent{agent}, nil
		for _, id := range ids(t, planner(0), f) {
			if other, taken := seen[id]; taken {
				t.Errorf("%s and %s are one episode", name, other)
			}
			seen[id] = name
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *File)
		want   string
	}{
		{"an unknown task", func(f *File) { f.Tasks[0] = "blottoo" }, "blotto"},
		{"an unknown agent", func(f *File) { f.Agents[0].Agent = "demmo" }, "demo"},
		{"an unknown variant", func(f *File) { f.Settings.Variant = new("tiny") }, "tiny"},
		{"a model without llm", func(f *File) { f.Agents[0].Model = "openai/x" }, "--model is for --agent llm"},
		{"a budget without a price", func(f *File) {
			f.Agents, f.Budget.USD = []Agent{{Agent: "llm", Model: "openai/nobody-knows-it"}}, 5
		}, "needs the price of openai/nobody-knows-it"},
		{"one agent twice", func(f *File) { f.Agents = []Agent{{Name: "a", Agent: "demo"}, {Name: "b", Agent: "demo"}} }, "are the same episode"},
		{"names that differ in signs", func(f *File) {
			f.Agents = []Agent{{Name: "a/b", Agent: "demo"}, {Name: "a b", Agent: "baseline"}}
		}, "two episodes are called"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := gridFile()
			tt.change(f)
			if _, err := planner(0).Plan(t.Context(), f); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestWithoutGPU skips what needs a GPU, or takes the variant that does without.
func TestWithoutGPU(t *testing.T) {
	full := "full"
	grid := func(without string) *File {
		return &File{
			Format: FileFormat, Tasks: []string{"languageModelingFineWeb", "blotto"}, Agents: []Agent{{Agent: "baseline"}}, Settings: Settings{Variant: &full}, WithoutGPU: without,
		}
	}
	plan := func(gpus int, without string) *Plan {
		t.Helper()
		p, err := planner(gpus).Plan(t.Context(), grid(without))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	with := plan(1, "")
	if c := with.Cells[0]; c.Skip != "" || c.Needs.GPUs != 1 || c.Spec.Variant != "full" {
		t.Errorf("with a GPU: %+v", c)
	}
	skipped := plan(0, "")
	if c := skipped.Cells[0]; !strings.Contains(c.Skip, "needs 1 GPU") {
		t.Errorf("without one: %+v", c)
	}
	if c := skipped.Cells[1]; c.Skip != "" || c.Needs.GPUs != 0 {
		t.Errorf("a task that needs none: %+v", c)
	}
	if len(skipped.Notes) != 1 || !strings.Contains(skipped.Notes[0], "languageModelingFineWeb") {
		t.Errorf("the notes are %q", skipped.Notes)
	}
	if c := plan(0, "small").Cells[0]; c.Skip != "" || c.Spec.Variant != "small" || c.Needs.GPUs != 0 {
		t.Errorf("as small: %+v", c)
	}
	if c := plan(-1, "").Cells[0]; c.Skip != "" || c.Needs.GPUs != 1 {
		t.Errorf("where somebody else finds a place: %+v", c)
	}
	if _, err := planner(0).Plan(t.Context(), grid("tiny")); err == nil || !strings.Contains(err.Error(), "tiny") {
		t.Errorf("a variant that there is not: %v", err)
	}
}

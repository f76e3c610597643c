package trajectory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/trajectory"
)

var update = flag.Bool("update", false, "write the golden files of the current version anew")

func at(second int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC)
}

// completeEvents is a record with every type of event and nearly every field.
func completeEvents() []trajectory.Event {
	exchange := agent.Exchange{
		Messages:      []model.Message{{Role: model.System, Text: "You do research."}, {Role: model.User, Text: "Go."}},
		HistoryLength: 2,
		Response: &model.Response{
			Message:    model.Message{Role: model.Assistant, Text: "<b>ls</b>", ToolCalls: []model.ToolCall{{ID: "1", Name: "bash", Args: json.RawMessage(`{"command":"ls"}`)}}},
			Usage:      model.Usage{InputTokens: 100, OutputTokens: 7, CachedTokens: 50},
			CostUSD:    new(0.25),
			StopReason: model.StopEnd,
			Model:      "m-1",
			Latency:    1500 * time.Millisecond,
		},
	}
	validated := gym.Evaluation{Kind: gym.Validate, Step: 2, Scores: gym.Scores{"accuracy": 0.5}, Details: map[string]float64{"n": 10}, Message: "accuracy 0.5", Seconds: 3, At: at(12)}
	submitted := gym.Evaluation{Kind: gym.Submit, Step: 3, Scores: gym.Scores{"accuracy": 0.75}, Seconds: 3, At: at(35)}
	missing := gym.Evaluation{Kind: gym.Validate, Step: 3, Problem: gym.NotFound, Message: "there is no model.py", At: at(31)}
	return []trajectory.Event{
		{At: at(0), Header: &trajectory.Header{RunID: "r1", Created: at(0), Software: "mlgym test"}},
		{At: at(2), Reset: &trajectory.Reset{Seed: 18446744073709551615, Observation: gym.Observation{Text: "Train a classifier.\n", StepsLeft: 3, WorkingDir: "/home/agent/workspace"}, Seconds: 1}},
		{At: at(4), Turn: &trajectory.Turn{Step: 1, Turn: agent.Turn{Action: gym.Action{Command: "ls"}, Thought: "Look & see.", Exchanges: []agent.Exchange{exchange}}, Seconds: 2}},
		{At: at(5), Step: &trajectory.Step{Step: 1, Action: gym.Action{Command: "ls"}, Transition: gym.Transition{Observation: gym.Observation{Text: "a.py\n\x1b[31mred\x1b[0m\n", Step: 1, StepsLeft: 2}, Info: gym.Info{Seconds: 0.01, OutputBytes: 20}}}},
		{At: at(6), Turn: &trajectory.Turn{Step: 2, Turn: agent.Turn{Action: gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}, Exchanges: []agent.Exchange{{Problem: "no action", Response: &model.Response{Usage: model.Usage{InputTokens: 1, OutputTokens: 1}, CostUSD: new(0.5)}}}}, Seconds: 1}},
		{At: at(12), Step: &trajectory.Step{Step: 2, Action: gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}, Transition: gym.Transition{Observation: gym.Observation{Text: "accuracy 0.5", Step: 2, StepsLeft: 1}, Reward: 0.25, Info: gym.Info{Evaluations: []gym.Evaluation{validated}, ExitCode: 0, Seconds: 6}}}},
		{At: at(13), Note: &trajectory.Note{Text: "half-time"}},
		{At: at(14), Fault: &trajectory.Fault{Step: 3, Source: trajectory.FromAgent, Message: "the model server is gone", Resumable: true}},
		{At: at(20), Resume: &trajectory.Resume{Steps: 2, Observation: gym.Observation{Text: "accuracy 0.4", Step: 2, StepsLeft: 1}, Differences: []trajectory.Difference{{Step: 2, Field: "scores", Recorded: "accuracy 0.5", Got: "accuracy 0.4"}}, Seconds: 5}},
		{At: at(22), Turn: &trajectory.Turn{Step: 3, Turn: agent.Turn{Action: gym.Action{Command: "validate; python a.py"}}, Seconds: 2}},
		{At: at(31), Step: &trajectory.Step{Step: 3, Action: gym.Action{Command: "validate; python a.py"}, Transition: gym.Transition{Observation: gym.Observation{Text: "there is no model.py", Step: 3}, Info: gym.Info{Evaluations: []gym.Evaluation{missing}, ExitCode: 124, Deadline: "wall", ShellRestarted: true, Seconds: 9}}}},
		{At: at(35), End: &trajectory.End{
			ExitStatus: gym.ExitStatus{Outcome: gym.Autosubmission, Cause: gym.CauseSteps}, Cause: gym.CauseSteps, Reason: "3 steps",
			Transition: &gym.Transition{Observation: gym.Observation{Text: "submitted", Step: 3}, Reward: 0.5, Truncated: true, Info: gym.Info{ExitStatus: gym.ExitStatus{Outcome: gym.Autosubmission, Cause: gym.CauseSteps}, Evaluations: []gym.Evaluation{submitted}}},
			Final:      &submitted,
			Totals:     trajectory.Totals{Steps: 3, Requests: 2, TokensIn: 101, TokensOut: 8, TokensCached: 50, CostUSD: new(0.75), Reward: 0.75, Seconds: 28},
		}},
	}
}

// write writes a record of the events, the first of which is the header.
func write(t *testing.T, path string, events []trajectory.Event) {
	t.Helper()
	w, err := trajectory.Create(path, *events[0].Header, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events[1:] {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// readAll returns the events of a record and the size of its torn line.
func readAll(t *testing.T, text []byte) ([]trajectory.Event, int64) {
	t.Helper()
	r := trajectory.NewReader(bytes.NewReader(text))
	var events []trajectory.Event
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events, r.Torn()
}

// golden reads a golden file; those of earlier versions are kept for ever.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(golden(t, name)), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

func TestWhatIsWrittenIsTheGoldenRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	write(t, path, completeEvents())
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The time of the header line itself is the only thing that Create sets.
	first, rest, _ := bytes.Cut(got, []byte("\n"))
	var header trajectory.Event
	if err := json.Unmarshal(first, &header); err != nil {
		t.Fatal(err)
	}
	header.At = at(0)
	first, err = json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "v1-complete.jsonl", append(append(first, '\n'), rest...))
}

func TestGoldenRecordsAreRead(t *testing.T) {
	for _, version := range []string{"v1"} {
		t.Run(version, func(t *testing.T) {
			text := golden(t, version+"-complete.jsonl")
			r := trajectory.NewReader(bytes.NewReader(text))
			rec, err := trajectory.ReadRecorded(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(rec, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			compare(t, version+"-complete.recorded.json", append(got, '\n'))

			var migrated bytes.Buffer
			if _, err := trajectory.Migrate(&migrated, bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			compare(t, "v1-complete.jsonl", migrated.Bytes())
		})
	}
}

func TestTranscript(t *testing.T) {
	text := golden(t, "v1-complete.jsonl")
	for _, test := range []struct {
		name, file string
		opts       trajectory.RenderOptions
	}{
		{"plain", "v1-complete.txt", trajectory.RenderOptions{}},
		{"everything", "v1-complete.all.txt", trajectory.RenderOptions{Width: 60, Color: true, Exchanges: true, MaxLines: -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := trajectory.Render(&out, trajectory.NewReader(bytes.NewReader(text)), test.opts); err != nil {
				t.Fatal(err)
			}
			compare(t, test.file, out.Bytes())
			if !test.opts.Color && strings.ContainsRune(out.String(), 0x1b) {
				t.Error("a transcript without colour holds an escape character")
			}
		})
	}
}

func TestSumsOfARecordAgreeWithItsEnd(t *testing.T) {
	rec, err := trajectory.ReadRecorded(trajectory.NewReader(bytes.NewReader(golden(t, "v1-complete.jsonl"))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rec.Summary.End.Totals, rec.Summary.Totals); diff != "" {
		t.Errorf("the sums differ from those of the end (-end +sums):\n%s", diff)
	}
	if got := len(rec.Summary.Evaluations); got != 3 {
		t.Errorf("%d evaluations, want 3", got)
	}
	if err := rec.Resumable(); err == nil {
		t.Error("an episode that has ended is said to be resumable")
	}
}

// TestEveryPrefixIsARecord is what a kill at any byte must leave behind.
func TestEveryPrefixIsARecord(t *testing.T) {
	text := golden(t, "v1-complete.jsonl")
	whole, _ := readAll(t, text)
	for size := range len(text) + 1 {
		prefix := text[:size]
		lines := bytes.Count(prefix, []byte("\n"))
		got, torn := readAll(t, prefix)
		if len(got) != lines || torn != int64(size-1-bytes.LastIndexByte(prefix, '\n')) {
			t.Fatalf("prefix of %d bytes: %d events and %d torn bytes, want %d lines", size, len(got), torn, lines)
		}
		summary, err := trajectory.Summarise(trajectory.NewReader(bytes.NewReader(prefix)))
		if err != nil {
			t.Fatalf("Summarise of %d bytes: %v", size, err)
		}
		if size < len(text) && !summary.Interrupted() {
			t.Fatalf("a prefix of %d bytes is said to have ended", size)
		}
		if size%17 != 0 && torn != 0 {
			continue // the rest looks at whole events only
		}
		if diff := cmp.Diff(whole[:lines], got, cmp.Comparer(func(a, b gym.ExitStatus) bool { return a == b })); lines > 0 && diff != "" {
			t.Fatalf("prefix of %d bytes differs:\n%s", size, diff)
		}
		if _, err := trajectory.ReadRecorded(trajectory.NewReader(bytes.NewReader(prefix))); err != nil {
			t.Fatalf("ReadRecorded of %d bytes: %v", size, err)
		}
		var out bytes.Buffer
		if err := trajectory.Render(&out, trajectory.NewReader(bytes.NewReader(prefix)), trajectory.RenderOptions{}); err != nil {
			t.Fatalf("Render of %d bytes: %v", size, err)
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	text := string(golden(t, "v1-complete.jsonl"))
	lines := strings.SplitAfter(text, "\n")
	join := func(parts ...string) string { return strings.Join(parts, "") }
	for _, test := range []struct {
		name, text string
		line       int64
		want       string
	}{
		{"not JSON at all", "hello\n", 1, "not a record"},
		{"other JSON", "{\"a\":1}\n", 1, "not a record"},
		{"version 0", strings.Replace(text, `"version":1`, `"version":0`, 1), 1, "version 0"},
		{"a line of garbage", join(lines[0], lines[1], "garbage\n", lines[2]), 3, "not an event"},
		{"a garbage last line", join(lines[0], lines[1], "{\n"), 3, "not an event"},
		{"a missing line", join(lines[0], lines[2]), 2, "missing or doubled"},
		{"a doubled line", join(lines[0], lines[1], lines[1]), 3, "missing or doubled"},
		{"an empty line", join(lines[0], "\n", lines[1]), 2, "not an event"},
		{"an unknown type", join(lines[0], `{"seq":1,"type":"dream"}`, "\n"), 2, "0 bodies"},
		{"the wrong body", join(lines[0], strings.Replace(lines[1], `"type":"reset"`, `"type":"step"`, 1)), 2, `body of type "reset"`},
		{"two bodies", join(lines[0], strings.Replace(lines[1], `"reset":`, `"note":{"text":"x"},"reset":`, 1)), 2, "2 bodies"},
		{"zeros in the middle", join(lines[0], strings.Repeat("\x00", 10), "\n", lines[1]), 2, "not an event"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := trajectory.Summarise(trajectory.NewReader(strings.NewReader(test.text)))
			var corrupt *trajectory.CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error = %v, want a CorruptError", err)
			}
			if corrupt.Line != test.line || !strings.Contains(corrupt.Error(), test.want) {
				t.Errorf("error = %v; want line %d and %q", err, test.line, test.want)
			}
		})
	}
}

func TestNewerVersionIsRefusedWithAReason(t *testing.T) {
	text := bytes.Replace(golden(t, "v1-complete.jsonl"), []byte(`"version":1`), []byte(`"version":99`), 1)
	_, err := trajectory.Summarise(trajectory.NewReader(bytes.NewReader(text)))
	var version *trajectory.VersionError
	if !errors.As(err, &version) || version.Version != 99 || !strings.Contains(err.Error(), "use a newer mlgym") {
		t.Errorf("error = %v, want a VersionError with 99", err)
	}
}

func TestOversizedLineIsRefused(t *testing.T) {
	r := trajectory.NewReader(endlessLine{})
	_, err := r.Next()
	var corrupt *trajectory.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Line != 1 {
		t.Errorf("error = %v, want a CorruptError in line 1", err)
	}
}

// endlessLine is a stream without any line feed.
type endlessLine struct{}

func (endlessLine) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzReader(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1-complete.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte("{\"seq\":0,\"type\":\"header\",\"header\":{\"format\":\"mlgym-trajectory\",\"version\":1}}\n{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		_ = trajectory.Render(&out, trajectory.NewReader(bytes.NewReader(text)), trajectory.RenderOptions{Exchanges: true})
		_, recErr := trajectory.ReadRecorded(trajectory.NewReader(bytes.NewReader(text)))
		_, sumErr := trajectory.Summarise(trajectory.NewReader(bytes.NewReader(text)))
		if recErr == nil && sumErr != nil {
			t.Errorf("what can be read in memory cannot be summarised: %v", sumErr)
		}
		var once, twice bytes.Buffer
		if _, err := trajectory.Migrate(&once, bytes.NewReader(text)); err != nil {
			return
		}
		if _, err := trajectory.Migrate(&twice, bytes.NewReader(once.Bytes())); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once.Bytes())
		}
		if !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("a second round changes the record:\n%s\n%s", once.Bytes(), twice.Bytes())
		}
	})
}

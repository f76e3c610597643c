package trajectory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/model"
	"mlgym/trajectory"
)

// TestTokensAndSecrets: tokens are kept as they are, and are not kept where they may
// spell what was removed from the text.
func TestTokensAndSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	record := &model.TokenRecord{PromptIDs: []int{1, 2}, IDs: []int{3}, LogProbs: []float64{-0.25}}
	turn := func(text string) trajectory.Event {
		return trajectory.Event{Turn: &trajectory.Turn{Step: 1, Turn: agent.Turn{Exchanges: []agent.Exchange{{
			Messages: []model.Message{{Role: model.User, Text: text}}, HistoryLength: 1, Response: &model.Response{Tokens: record},
		}}}}}
	}
	fault := trajectory.Event{Fault: &trajectory.Fault{Exchanges: []agent.Exchange{{Response: &model.Response{Tokens: record}}}}}
	told := func(text string) trajectory.Event {
		return trajectory.Event{Step: &trajectory.Step{Step: 1, Transition: gym.Transition{Observation: gym.Observation{Text: text}}}}
	}
	for _, tt := range []struct {
		name   string
		events []trajectory.Event
		want   []bool // of each event that may have tokens: whether it has
	}{
		{"no secret", []trajectory.Event{turn("hello"), told("world"), turn("again"), fault}, []bool{true, true, true}},
		{"in a message", []trajectory.Event{turn("hello"), turn("it is " + secret), turn("again"), fault}, []bool{true, false, false, false}},
		{"in an observation, before it is sent", []trajectory.Event{turn("hello"), told(secret), turn("again"), fault}, []bool{true, false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.jsonl")
			w, err := trajectory.Create(path, trajectory.Header{}, redact.New(redact.Secret{Name: "K", Value: secret}))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range tt.events {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			events, _ := readAll(t, text)
			var got []bool
			for _, e := range events {
				var x []agent.Exchange
				switch {
				case e.Turn != nil:
					x = e.Turn.Turn.Exchanges
				case e.Fault != nil:
					x = e.Fault.Exchanges
				default:
					continue
				}
				if len(x) != 1 || x[0].Response == nil {
					t.Fatalf("event %d has lost its exchange", e.Seq)
				}
				kept := x[0].Response.Tokens
				got = append(got, kept != nil)
				if kept != nil && !cmp.Equal(kept, record) {
					t.Errorf("event %d has %+v, want %+v", e.Seq, kept, record)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if record.PromptIDs == nil {
				t.Error("the caller's record was changed")
			}
		})
	}
}

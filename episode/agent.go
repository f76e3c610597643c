package episode

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"mlgym/agent"
	"mlgym/agent/baseline"
	"mlgym/agent/demo"
	"mlgym/agent/human"
	"mlgym/agent/llm"
	"mlgym/agent/replay"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/model/providers"
	modelreplay "mlgym/model/replay"
	"mlgym/runstore"
	"mlgym/tool"
	"mlgym/trajectory"
)

// AgentOptions are what an agent needs beside its description.
type AgentOptions struct {
	// In and Out are a person's terminal, of the human agent only.
	In  io.Reader
	Out io.Writer
	// Attempts is how often a busy or unreachable model server is asked, the
	// first time included; 0 means 6.
	Attempts int
	// Record is a file that gets the model's requests and answers, "" for none.
	Record string
	// Elapsed seconds of the episode before a resumption.
	Elapsed float64
	// Account is a budget that the model draws on, nil for none.
	Account model.Account
	Log     *slog.Logger
}

// Agent is an agent with what belongs to it.
type Agent struct {
	agent.Agent
	close func() error
}

// Close frees what the agent holds.
func (a *Agent) Close() error { return a.close() }

// Agent makes the agent. Its errors are the user's to mend, but for those of the
// replay's record.
func (e *Episode) Agent(ctx context.Context, o AgentOptions) (*Agent, error) {
	nothing := func() error { return nil }
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch e.Spec.Agent {
	case "baseline":
		return &Agent{baseline.New(e.Task.BaselineCommand), nothing}, nil
	case "demo":
		return &Agent{demo.New(), nothing}, nil
	case "human":
		h, err := human.New(human.Config{In: o.In, Out: o.Out, Tools: tool.All()})
		if err != nil {
			return nil, err
		}
		return &Agent{h, h.Close}, nil
	case "replay":
		repeat, err := repeater(e.Spec.From)
		if err != nil {
			return nil, err
		}
		return &Agent{repeat, nothing}, nil
	}
	return e.llm(ctx, o)
}

func (e *Episode) llm(ctx context.Context, o AgentOptions) (*Agent, error) {
	spec := *e.scaffold
	if e.Spec.MaxTokens > 0 {
		spec.Request.MaxTokens = e.Spec.MaxTokens
	}
	ref, err := providers.ParseRef(e.Spec.Model)
	if err != nil {
		return nil, wrong(err)
	}
	m, err := providers.Open(ctx, ref, providers.Options{
		APIKey: providers.KeyFrom(ref.Provider, os.Getenv), BaseURL: e.Spec.BaseURL, Responses: e.Spec.Responses,
		ReasoningEffort: e.Spec.Reasoning, ThinkingTokens: e.Spec.ThinkingTokens, Prices: e.table,
		Retry: &model.RetryOptions{Seed: e.Spec.Seed, Attempts: o.Attempts}, Account: o.Account, Logger: o.Log,
	})
	if err != nil {
		return nil, wrong(err)
	}
	out := &Agent{close: func() error { return nil }}
	if o.Record != "" {
		file, err := os.OpenFile(o.Record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, wrongf("--record: %w", err)
		}
		out.close = file.Close
		if m, err = modelreplay.NewRecorder(m, file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	seed := int64(e.Spec.Seed) //nolint:gosec // any number will do
	out.Agent, err = llm.New(llm.Config{
		Scaffold: &spec, Model: m, Tools: tool.All(), ModelName: ref.String(), Prices: e.table, Seed: &seed, Tokens: e.Spec.RecordTokens,
		Limits: llm.Limits{CostUSD: e.Spec.CostUSD, Tokens: e.Spec.Tokens}, Elapsed: seconds(o.Elapsed), Logger: o.Log,
	})
	if err != nil {
		return nil, errors.Join(wrong(err), out.close())
	}
	return out, nil
}

// repeater repeats the actions of a run and ends as it did.
func repeater(dir string) (*replay.Agent, error) {
	rec, err := LoadRecord(dir)
	if err != nil {
		return nil, wrong(err)
	}
	var actions []gym.Action
	for _, step := range rec.Steps {
		actions = append(actions, step.Action)
	}
	repeat := replay.New(actions)
	if end := rec.Summary.End; end != nil && end.Cause != "" {
		return repeat.ThenStop(end.Cause, "the record ended so"), nil
	}
	return repeat, nil
}

// LoadRecord reads the trajectory of a run.
func LoadRecord(dir string) (*trajectory.Recorded, error) {
	if _, err := runstore.ReadManifest(dir); err != nil {
		return nil, err
	}
	return trajectory.Load(filepath.Join(dir, runstore.TrajectoryName))
}

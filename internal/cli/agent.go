package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"mlgym"
	"mlgym/agent"
	"mlgym/agent/baseline"
	"mlgym/agent/demo"
	"mlgym/agent/human"
	"mlgym/agent/llm"
	"mlgym/agent/replay"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/model"
	"mlgym/model/price"
	"mlgym/model/providers"
	modelreplay "mlgym/model/replay"
	"mlgym/runstore"
	"mlgym/scaffold"
	"mlgym/task"
	"mlgym/tool"
	"mlgym/trajectory"
)

// keyOf is a provider's key in the environment.
type keyOf struct{ provider, env, value string }

// providerKeys looks for the keys of all providers.
func providerKeys() []keyOf {
	var out []keyOf
	for _, provider := range providers.Names() {
		for _, env := range providers.KeyVariables(provider) {
			out = append(out, keyOf{provider, env, os.Getenv(env)})
		}
	}
	return out
}

// redactor knows every secret of the environment.
func redactor() *redact.Redactor { return redact.New(redact.FromEnviron(os.Environ())...) }

// made is an agent with what belongs to it.
type made struct {
	agent  agent.Agent
	prices *runstore.Prices
	close  func() error
}

// makeAgent makes the agent that the options ask for. Its errors are the
// user's to mend, but for those of the replay's record.
func (a *app) makeAgent(ctx context.Context, o *runOptions, t *task.Task, elapsed float64) (made, error) {
	nothing := func() error { return nil }
	switch o.Agent {
	case "baseline":
		return made{agent: baseline.New(t.BaselineCommand), close: nothing}, nil
	case "demo":
		return made{agent: demo.New(), close: nothing}, nil
	case "human":
		h, err := human.New(human.Config{In: a.in, Out: a.humanOut(o), Tools: tool.All()})
		if err != nil {
			return made{}, err
		}
		return made{agent: h, close: h.Close}, nil
	case "replay":
		repeat, err := repeater(o.From)
		return made{agent: repeat, close: nothing}, err
	}
	return a.makeLLM(ctx, o, elapsed)
}

// humanOut is where a person reads; with --json standard output is for the
// result alone.
func (a *app) humanOut(o *runOptions) io.Writer {
	if o.asJSON {
		return a.err
	}
	return a.out
}

func (a *app) makeLLM(ctx context.Context, o *runOptions, elapsed float64) (made, error) {
	spec, err := scaffold.Open(mlgym.Scaffolds(), o.Scaffold)
	if err != nil {
		return made{}, usage(err)
	}
	if o.MaxTokens > 0 {
		spec.Request.MaxTokens = o.MaxTokens
	}
	ref, err := providers.ParseRef(o.Model)
	if err != nil {
		return made{}, usage(err)
	}
	prices, err := price.ForUser(o.prices)
	if err != nil {
		return made{}, usage(err)
	}
	m, err := providers.Open(ctx, ref, providers.Options{
		APIKey: providers.KeyFrom(ref.Provider, os.Getenv), BaseURL: o.BaseURL, Responses: o.Responses,
		ReasoningEffort: o.Reasoning, ThinkingTokens: o.ThinkingTokens, Prices: prices,
		Retry: &model.RetryOptions{Seed: o.seed, Attempts: o.retries + 1}, Logger: a.log,
	})
	if err != nil {
		return made{}, usage(err)
	}
	out := made{close: func() error { return nil }}
	if o.record != "" {
		file, err := os.OpenFile(o.record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return made{}, usagef("--record: %w", err)
		}
		out.close = file.Close
		if m, err = modelreplay.NewRecorder(m, file); err != nil {
			return made{}, errors.Join(err, file.Close())
		}
	}
	if known, ok := prices.Lookup(ref.String()); ok {
		out.prices = &runstore.Prices{InputUSD: known.InputUSD, OutputUSD: known.OutputUSD}
		if known.CachedInputUSD != nil {
			out.prices.CachedUSD = *known.CachedInputUSD
		}
		if known.CacheWriteUSD != nil {
			out.prices.CacheWriteUSD = *known.CacheWriteUSD
		}
	} else if o.CostLimit > 0 && !o.costSet {
		fmt.Fprintf(a.err, "The price of %s is not known: the cost of this run will be unknown, and no limit on it is kept (--prices FILE gives a price).\n", ref)
		o.CostLimit = 0
	}
	seed := int64(o.seed) //nolint:gosec // any number will do
	out.agent, err = llm.New(llm.Config{
		Scaffold: spec, Model: m, Tools: tool.All(), ModelName: ref.String(), Prices: prices, Seed: &seed,
		Limits: llm.Limits{CostUSD: o.CostLimit, Tokens: o.tokenLimit}, Elapsed: seconds(elapsed), Logger: a.log,
	})
	if err != nil {
		return made{}, errors.Join(usage(err), out.close())
	}
	return out, nil
}

// repeater repeats the actions of a run and ends as it did.
func repeater(dir string) (*replay.Agent, error) {
	rec, err := loadRecord(dir)
	if err != nil {
		return nil, usage(err)
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

func loadRecord(dir string) (*trajectory.Recorded, error) {
	if _, err := runstore.ReadManifest(dir); err != nil {
		return nil, err
	}
	return trajectory.Load(trajectoryPath(dir))
}

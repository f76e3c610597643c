package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/tool"
)

// Config makes an [Agent].
type Config struct {
	// Scaffold is required.
	Scaffold *scaffold.Scaffold
	// Model is required; retries, recording and rate limits are its wrappers.
	Model model.Model
	// Tools that there are; the scaffold chooses among them.
	Tools  []tool.Spec
	Limits Limits
	// ModelName, PROVIDER/NAME, is how Prices knows the model.
	ModelName string
	// Prices may be nil where there is no cost limit. A response that carries
	// its own cost is believed instead.
	Prices model.Pricer
	// Seed is passed to the model where the provider knows one.
	Seed *int64
	// Tokens asks for the tokens of each request and answer, see
	// [model.TokenRecord].
	Tokens bool
	// Elapsed is the wall time that a resumed episode has used before.
	Elapsed time.Duration
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Logger receives what is worth knowing and changes nothing; discarded
	// where nil.
	Logger *slog.Logger
}

// Limits bound an episode. Zero is no limit. The number of steps is limited by
// the environment.
type Limits struct {
	// CostUSD is what all requests together may cost.
	CostUSD float64
	// Tokens bounds input and output tokens of all requests together.
	Tokens int64
	// Wall bounds the time from the first call of Act on.
	Wall time.Duration
}

// ErrNoPrice says that a cost limit was asked for a model whose price is not
// known.
var ErrNoPrice = model.ErrNoPrice

// price returns the price function, nil where the price is not known.
func (c Config) price() func(model.Usage) float64 {
	if c.Prices == nil {
		return nil
	}
	if _, known := c.Prices.Cost(c.ModelName, model.Usage{InputTokens: 1, OutputTokens: 1}); !known {
		return nil
	}
	return func(u model.Usage) float64 {
		usd, _ := c.Prices.Cost(c.ModelName, u)
		return usd
	}
}

// Agent asks a model for each action. It implements [agent.Agent] and
// [agent.Resumer].
type Agent struct {
	cfg   Config
	tools []tool.Spec
	now   func() time.Time
	log   *slog.Logger

	past    past
	meter   meter
	started time.Time
	// sent are the messages of the last request, to record only what is new.
	sent []model.Message
}

// New checks the configuration and returns an agent for one episode.
func New(cfg Config) (*Agent, error) {
	switch {
	case cfg.Scaffold == nil:
		return nil, errors.New("an llm agent needs a scaffold")
	case cfg.Model == nil:
		return nil, errors.New("an llm agent needs a model")
	case cfg.Limits.CostUSD < 0 || cfg.Limits.Tokens < 0 || cfg.Limits.Wall < 0:
		return nil, fmt.Errorf("a limit of an llm agent is negative: %+v", cfg.Limits)
	}
	price := cfg.price()
	if cfg.Limits.CostUSD > 0 && price == nil {
		return nil, fmt.Errorf("model %q: %w", cfg.ModelName, ErrNoPrice)
	}
	tools, err := cfg.Scaffold.Select(cfg.Tools)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg:   cfg,
		tools: tools,
		now:   cfg.Now,
		log:   cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		past:  past{scaffold: cfg.Scaffold, tools: tools},
		meter: meter{limits: cfg.Limits, price: price},
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a, nil
}

// Spent returns what the episode has used so far.
func (a *Agent) Spent() Spent { return a.meter.spent }

// Act implements [agent.Agent]. When it returns an error, the Turn holds the
// exchanges that were made, and nothing else of the agent has changed but what
// is spent.
func (a *Agent) Act(ctx context.Context, obs gym.Observation) (agent.Turn, error) {
	if a.started.IsZero() {
		a.started = a.now().Add(-a.cfg.Elapsed)
	}
	var turn agent.Turn
	messages, err := a.past.messages(obs)
	if err != nil {
		return turn, err
	}
	readings := 1 + *a.cfg.Scaffold.MaxReasks
	problem := ""
	for left := readings - 1; left >= 0; left-- {
		response, stopped, err := a.ask(ctx, &turn, messages)
		if err != nil || stopped {
			return turn, err
		}
		answer := response.Message
		reply, err := a.cfg.Scaffold.Parse(answer, a.tools)
		if err == nil {
			a.past.commit(obs, answer)
			turn.Thought, turn.Action = reply.Thought, reply.Action
			return turn, nil
		}
		problem = explain(err, response.StopReason)
		turn.Exchanges[len(turn.Exchanges)-1].Problem = problem
		a.log.Info("malformed answer", "problem", problem, "attempts_left", left)
		refusal, err := a.cfg.Scaffold.Refuse(answer, problem, left)
		if err != nil {
			return turn, err
		}
		messages = append(messages, refusal...)
	}
	turn.Stop = gym.CauseFormat
	turn.StopReason = fmt.Sprintf("%d answers could not be read; the last one: %s", readings, problem)
	return turn, nil
}

func explain(err error, why model.StopReason) string {
	text := err.Error()
	switch why {
	case model.StopMaxTokens:
		text += " The answer was cut off because it reached the limit on its length."
	case model.StopRefusal:
		text += " The provider reports a refusal."
	case model.StopEnd, model.StopToolCalls, model.StopOther:
	}
	return text
}

// ask sends one request. Stopped means that the turn is a decision to stop.
func (a *Agent) ask(ctx context.Context, turn *agent.Turn, messages []model.Message) (*model.Response, bool, error) {
	request := a.request(messages)
	if cause, reason := a.meter.refuse(request); cause != "" {
		turn.Stop, turn.StopReason = cause, reason
		return nil, true, nil
	}
	bounded := ctx
	if wall := a.cfg.Limits.Wall; wall > 0 {
		left := wall - a.now().Sub(a.started)
		if left <= 0 {
			turn.Stop, turn.StopReason = gym.CauseTime, fmt.Sprintf("the time limit of %v is used up", wall)
			return nil, true, nil
		}
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	response, err := a.cfg.Model.Generate(bounded, request)
	if err == nil && response == nil {
		err = errors.New("the model returned neither an answer nor an error")
	}
	exchange := agent.Exchange{
		Messages:      messages[common(a.sent, messages):],
		HistoryLength: len(messages),
		Response:      response,
	}
	a.sent = messages
	if err != nil {
		exchange.Error = err.Error()
		turn.Exchanges = append(turn.Exchanges, exchange)
		if turn.Stop, turn.StopReason = a.decide(ctx, bounded, err); turn.Stop != "" {
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("asking the model: %w", err)
	}
	response = named(response)
	exchange.Response = response
	turn.Exchanges = append(turn.Exchanges, exchange)
	a.meter.add(request, response)
	return response, false, nil
}

// decide returns the cause to stop for where a failed request is no fault of the
// infrastructure that may pass.
func (a *Agent) decide(ctx, bounded context.Context, err error) (gym.Cause, string) {
	if ctx.Err() != nil {
		return "", ""
	}
	if errors.Is(err, model.ErrBudget) {
		// Of many episodes, so none of them is over. Nothing was sent, also where
		// the time limit ended the waiting.
		return "", ""
	}
	if bounded.Err() != nil {
		return gym.CauseTime, fmt.Sprintf("the time limit of %v was reached while the model was answering", a.cfg.Limits.Wall)
	}
	switch model.KindOf(err) {
	case model.ContextLength:
		return gym.CauseContext, err.Error()
	case model.Unauthorized, model.NotFound, model.BadRequest, model.BadResponse:
		return gym.CauseAPI, err.Error()
	case model.RateLimited, model.Overloaded, model.Unreachable:
	}
	return "", ""
}

func (a *Agent) request(messages []model.Message) *model.Request {
	r := a.cfg.Scaffold.Request
	return &model.Request{
		Messages:    messages,
		Tools:       a.cfg.Scaffold.Functions(a.tools),
		Temperature: r.Temperature,
		TopP:        r.TopP,
		MaxTokens:   r.MaxTokens,
		Stop:        r.Stop,
		Seed:        a.cfg.Seed,
		Tokens:      a.cfg.Tokens,
	}
}

// named gives an id to each tool call that a server left without one, since the
// answer to a call must name it.
func named(response *model.Response) *model.Response {
	calls := response.Message.ToolCalls
	for i, call := range calls {
		if call.ID != "" {
			continue
		}
		out := *response
		out.Message.ToolCalls = append([]model.ToolCall(nil), calls...)
		for j := i; j < len(calls); j++ {
			if calls[j].ID == "" {
				out.Message.ToolCalls[j].ID = fmt.Sprintf("call-%d", j+1)
			}
		}
		return &out
	}
	return response
}

// Package providers opens the models that ship by their names. It is the one
// place that knows all of them; everything else knows [model.Model].
package providers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"mlgym/internal/nearest"
	"mlgym/model"
	"mlgym/model/anthropic"
	"mlgym/model/google"
	"mlgym/model/openai"
	"mlgym/model/replay"
)

// Names returns the providers, in the order of the documentation.
func Names() []string { return []string{"openai", "anthropic", "google", "replay"} }

// ParseRef reads PROVIDER/NAME of a provider that ships; the error for another
// names the nearest.
func ParseRef(s string) (model.Ref, error) {
	ref, err := model.ParseRef(s)
	if err != nil {
		return model.Ref{}, fmt.Errorf("%w (providers: %s)", err, strings.Join(Names(), ", "))
	}
	if !slices.Contains(Names(), ref.Provider) {
		return model.Ref{}, fmt.Errorf("unknown provider %q in model %q%s (providers: %s)",
			ref.Provider, s, nearest.Hint(ref.Provider, Names()), strings.Join(Names(), ", "))
	}
	return ref, nil
}

// Options configure [Open]. The zero value asks the provider's own server without
// a key, which only replay accepts.
type Options struct {
	// APIKey of the provider.
	APIKey string
	// BaseURL of another server that speaks the provider's format.
	BaseURL string
	// Responses asks an openai model through the Responses API.
	Responses bool
	// ReasoningEffort of an openai model, where not empty.
	ReasoningEffort string
	// ThinkingTokens is the budget of an anthropic or google model; 0 leaves it to
	// the provider and -1 to the model.
	ThinkingTokens int
	// Timeout bounds one request; 0 means 10 minutes.
	Timeout time.Duration
	// Prices fills Response.CostUSD; nil leaves it unknown. What replay answers
	// keeps the cost that was recorded.
	Prices model.Pricer
	// PriceAs is the name under which the price is looked up; empty is the Ref.
	PriceAs string
	// Account is a budget that each request draws on before it is sent, nil for
	// none; see [model.Budgeted].
	Account model.Account
	// Retry configures the retries; nil makes none.
	Retry *model.RetryOptions
	// Logger is told of retries where Retry has none of its own.
	Logger *slog.Logger
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// KeyVariables returns the environment variables that may hold a provider's key,
// the first that is set wins; none for a provider that needs no key. Reading them
// is for the caller.
func KeyVariables(provider string) []string {
	switch provider {
	case "openai":
		return []string{"OPENAI_API_KEY"}
	case "anthropic":
		return []string{"ANTHROPIC_API_KEY"}
	case "google":
		return []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}
	}
	return nil
}

// KeyFrom returns the provider's key from an environment, looked up by getenv
// (usually os.Getenv), or "".
func KeyFrom(provider string, getenv func(string) string) string {
	for _, name := range KeyVariables(provider) {
		if key := strings.TrimSpace(getenv(name)); key != "" {
			return key
		}
	}
	return ""
}

// Open returns the model that ref names, with retries and prices around it as the
// options say. It sends nothing: a wrong key, a dead server or an unknown model
// shows at the first request, as a *model.Error. The name of a replay model is the
// path of a cassette.
func Open(ctx context.Context, ref model.Ref, opts Options) (model.Model, error) {
	name := opts.PriceAs
	if name == "" {
		name = ref.String()
	}
	budgeted := func(m model.Model) model.Model {
		if opts.Account == nil {
			return m
		}
		return model.Budgeted(m, opts.Account, model.BudgetOptions{Name: name, Prices: opts.Prices})
	}
	if ref.Provider == "replay" {
		m, err := opened(replay.Open(ref.Name))
		if err != nil {
			return nil, err
		}
		return budgeted(m), nil
	}
	m, err := open(ctx, ref, opts)
	if err != nil {
		return nil, err
	}
	m = budgeted(m)
	if opts.Retry != nil {
		retry := *opts.Retry
		if retry.Logger == nil {
			retry.Logger = opts.Logger
		}
		m = model.Retry(m, retry)
	}
	if opts.Prices != nil {
		m = model.Priced(m, opts.Prices, name)
	}
	return m, nil
}

func open(ctx context.Context, ref model.Ref, opts Options) (model.Model, error) {
	switch ref.Provider {
	case "openai":
		api := openai.Chat
		if opts.Responses {
			api = openai.Responses
		}
		return opened(openai.New(openai.Options{
			Model: ref.Name, APIKey: opts.APIKey, BaseURL: opts.BaseURL, API: api,
			ReasoningEffort: opts.ReasoningEffort, Timeout: opts.Timeout, Transport: opts.Transport,
		}))
	case "anthropic":
		return opened(anthropic.New(anthropic.Options{
			Model: ref.Name, APIKey: opts.APIKey, BaseURL: opts.BaseURL,
			ThinkingTokens: int64(opts.ThinkingTokens), Timeout: opts.Timeout, Transport: opts.Transport,
		}))
	case "google":
		var thinking *int32
		if opts.ThinkingTokens != 0 {
			budget := int32(min(opts.ThinkingTokens, 1<<30)) //nolint:gosec // bounded in the same expression
			thinking = &budget
		}
		return opened(google.New(ctx, google.Options{
			Model: ref.Name, APIKey: opts.APIKey, BaseURL: opts.BaseURL,
			ThinkingTokens: thinking, Timeout: opts.Timeout, Transport: opts.Transport,
		}))
	}
	// A Ref need not come from ParseRef.
	_, err := ParseRef(ref.String())
	return nil, err
}

// opened keeps a nil pointer from becoming a Model that is not nil.
func opened[M model.Model](m M, err error) (model.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

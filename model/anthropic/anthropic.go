package anthropic

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"mlgym/model"
	"mlgym/model/internal/wire"
)

// provider is the name in errors and in Message.Opaque.
const provider = "anthropic"

// DefaultBaseURL is Anthropic's own.
const DefaultBaseURL = "https://api.anthropic.com"

// DefaultMaxTokens bounds an answer where the request does not; the API demands
// a bound.
const DefaultMaxTokens = 8192

// Adaptive as Options.ThinkingTokens lets the model decide how much to think.
const Adaptive = -1

// Options configure a Model.
type Options struct {
	// Model is the name that the server knows, such as "claude-sonnet-4-5".
	// Required.
	Model string
	// APIKey is required at DefaultBaseURL only.
	APIKey string
	// BaseURL ends before "/v1/messages"; a trailing "/v1" is taken off. Empty is
	// DefaultBaseURL.
	BaseURL string
	// ThinkingTokens turns on extended thinking with that budget (at least 1024,
	// below the request's MaxTokens), or Adaptive. 0 leaves it off.
	ThinkingTokens int64
	// NoCache leaves out the markers that let the server keep the beginning of
	// the conversation (at a tenth of the price when it is read again).
	NoCache bool
	// Timeout bounds one request; 0 means 10 minutes.
	Timeout time.Duration
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// Model asks one model of one server. It is safe for concurrent use.
type Model struct {
	opts     Options
	endpoint wire.Endpoint
	messages sdk.MessageService
}

// New checks the options; it sends nothing.
func New(opts Options) (*Model, error) {
	if opts.Model == "" {
		return nil, fmt.Errorf("%s: no model name", provider)
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	// The SDK adds "v1/messages"; users copy base URLs that end in it.
	opts.BaseURL = strings.TrimSuffix(strings.TrimSuffix(opts.BaseURL, "/"), "/v1")
	if opts.Timeout <= 0 {
		opts.Timeout = wire.DefaultTimeout
	}
	endpoint := wire.Endpoint{
		Provider: provider, BaseURL: opts.BaseURL, Key: opts.APIKey, Timeout: opts.Timeout, Kind: refineKind,
	}
	if err := endpoint.Check(); err != nil {
		return nil, err
	}
	if opts.APIKey == "" && opts.BaseURL == DefaultBaseURL {
		return nil, &model.Error{Kind: model.Unauthorized, Provider: provider, Message: "no API key; set ANTHROPIC_API_KEY, or give the base URL of a server that needs none"}
	}
	request := []option.RequestOption{
		option.WithBaseURL(opts.BaseURL),
		option.WithHTTPClient(wire.Client(opts.Transport)),
		option.WithMaxRetries(0),
		// Without a timeout of its own the SDK refuses long answers unless they are
		// streamed.
		option.WithRequestTimeout(opts.Timeout),
	}
	if opts.APIKey != "" {
		request = append(request, option.WithAPIKey(opts.APIKey))
	}
	return &Model{opts: opts, endpoint: endpoint, messages: sdk.NewMessageService(request...)}, nil
}

// Generate asks the server once.
func (m *Model) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	start := time.Now()
	params, err := m.params(req)
	if err != nil {
		return nil, err
	}
	var answer *sdk.Message
	err = m.endpoint.Do(ctx, func(ctx context.Context) (err error) {
		answer, err = m.messages.New(ctx, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp, err := m.response(answer)
	if err != nil {
		return nil, err
	}
	resp.Latency = time.Since(start)
	return resp, nil
}

// refineKind mends what the status alone says wrongly.
func refineKind(f wire.Failure, kind model.ErrorKind) model.ErrorKind {
	switch {
	case f.Type == "exceed_context_size_error":
		return model.ContextLength
	case f.Type == "overloaded_error":
		return model.Overloaded
	case f.Type == "billing_error", strings.Contains(f.Message, "credit balance is too low"):
		return model.Unauthorized
	}
	return kind
}

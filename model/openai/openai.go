package openai

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"mlgym/model"
	"mlgym/model/internal/wire"
)

// provider is the name in errors and in Message.Opaque.
const provider = "openai"

// DefaultBaseURL is OpenAI's own.
const DefaultBaseURL = "https://api.openai.com/v1"

// API is one of the two ways to ask.
type API string

// The two ways to ask. The zero value is Chat.
const (
	Chat      API = "chat"
	Responses API = "responses"
)

// Options configure a Model.
type Options struct {
	// Model is the name that the server knows, such as "gpt-4o-mini". Required.
	Model string
	// APIKey is sent as a bearer token. It is required at DefaultBaseURL only; most
	// local servers need none.
	APIKey string
	// BaseURL ends before "/chat/completions", so usually in "/v1". Empty is
	// DefaultBaseURL.
	BaseURL string
	// API is Chat where empty.
	API API
	// ReasoningEffort is passed on where not empty ("low", "medium", "high", …).
	ReasoningEffort string
	// Timeout bounds one request; 0 means 10 minutes.
	Timeout time.Duration
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// Model asks one model of one server. It is safe for concurrent use.
type Model struct {
	opts      Options
	endpoint  wire.Endpoint
	chat      sdk.ChatCompletionService
	responses responses.ResponseService
	other     sdk.Client // for what is not OpenAI's
}

// New checks the options; it sends nothing.
func New(opts Options) (*Model, error) {
	if opts.Model == "" {
		return nil, fmt.Errorf("%s: no model name", provider)
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	switch opts.API {
	case "":
		opts.API = Chat
	case Chat, Responses:
	default:
		return nil, fmt.Errorf("%s: unknown API %q; want %q or %q", provider, opts.API, Chat, Responses)
	}
	endpoint := wire.Endpoint{
		Provider: provider, BaseURL: opts.BaseURL, Key: opts.APIKey, Timeout: opts.Timeout, Kind: refineKind,
	}
	if err := endpoint.Check(); err != nil {
		return nil, err
	}
	if opts.APIKey == "" && isOpenAI(opts.BaseURL) {
		return nil, &model.Error{Kind: model.Unauthorized, Provider: provider, Message: "no API key; set OPENAI_API_KEY, or give the base URL of a server that needs none"}
	}
	request := []option.RequestOption{
		option.WithBaseURL(opts.BaseURL),
		option.WithHTTPClient(wire.Client(opts.Transport)),
		option.WithMaxRetries(0),
	}
	if opts.APIKey != "" {
		request = append(request, option.WithAPIKey(opts.APIKey))
	}
	return &Model{
		opts:      opts,
		endpoint:  endpoint,
		chat:      sdk.NewChatCompletionService(request...),
		responses: responses.NewResponseService(request...),
		other:     sdk.Client{Options: request},
	}, nil
}

func isOpenAI(baseURL string) bool {
	return strings.HasPrefix(baseURL, "https://api.openai.com/")
}

// Generate asks the server once.
func (m *Model) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	start := time.Now()
	var (
		resp *model.Response
		err  error
	)
	if m.opts.API == Responses {
		resp, err = m.generateResponse(ctx, req)
	} else {
		resp, err = m.generateChat(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	resp.Latency = time.Since(start)
	return resp, nil
}

// refineKind mends what the status alone says wrongly. An exhausted quota comes
// as 429 but waiting does not help.
func refineKind(f wire.Failure, kind model.ErrorKind) model.ErrorKind {
	switch {
	case f.Code == "insufficient_quota" || f.Type == "insufficient_quota":
		return model.Unauthorized
	case f.Code == "context_length_exceeded" || f.Type == "exceed_context_size_error":
		return model.ContextLength
	case f.Code == "model_not_found":
		return model.NotFound
	}
	return kind
}

package google

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genai"

	"mlgym/model"
	"mlgym/model/internal/wire"
)

// provider is the name in errors and in Message.Opaque.
const provider = "google"

// DefaultBaseURL is Google's own.
const DefaultBaseURL = "https://generativelanguage.googleapis.com/"

// Options configure a Model.
type Options struct {
	// Model is the name that the server knows, such as "gemini-2.5-pro". Required.
	Model string
	// APIKey is required at DefaultBaseURL only.
	APIKey string
	// BaseURL ends before "/v1beta/models"; a trailing "/v1beta" is taken off.
	// Empty is DefaultBaseURL.
	BaseURL string
	// ThinkingTokens bounds the model's thinking: nil leaves it to the model, 0
	// turns it off where the model allows that, -1 lets the model decide.
	ThinkingTokens *int32
	// IncludeThoughts asks for summaries of the thoughts, in Message.Reasoning.
	IncludeThoughts bool
	// Timeout bounds one request; 0 means 10 minutes.
	Timeout time.Duration
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// Model asks one model of one server. It is safe for concurrent use.
type Model struct {
	opts     Options
	endpoint wire.Endpoint
	client   *genai.Client
}

// New checks the options; it sends nothing.
func New(ctx context.Context, opts Options) (*Model, error) {
	if opts.Model == "" {
		return nil, fmt.Errorf("%s: no model name", provider)
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	opts.BaseURL = strings.TrimSuffix(strings.TrimSuffix(opts.BaseURL, "/"), "/v1beta") + "/"
	endpoint := wire.Endpoint{
		Provider: provider, BaseURL: opts.BaseURL, Key: opts.APIKey, Timeout: opts.Timeout, Kind: refineKind,
	}
	if err := endpoint.Check(); err != nil {
		return nil, err
	}
	key := opts.APIKey
	if key == "" {
		if opts.BaseURL == DefaultBaseURL {
			return nil, &model.Error{Kind: model.Unauthorized, Provider: provider, Message: "no API key; set GEMINI_API_KEY or GOOGLE_API_KEY, or give the base URL of a server that needs none"}
		}
		// The SDK would take one from the environment, and send it to this server.
		key = "none"
	}
	attempts := int32(1)
	client, err := genai.NewClient(ctx, &genai.ClientConfig{
		APIKey:     key,
		Backend:    genai.BackendGeminiAPI,
		HTTPClient: wire.Client(opts.Transport),
		HTTPOptions: genai.HTTPOptions{
			BaseURL:      opts.BaseURL,
			APIVersion:   "v1beta",
			RetryOptions: &genai.HTTPRetryOptions{Attempts: &attempts},
		},
	})
	if err != nil {
		// The SDK's text prints its whole configuration, key included.
		return nil, fmt.Errorf("%s: the client refused its configuration", provider)
	}
	return &Model{opts: opts, endpoint: endpoint, client: client}, nil
}

// Generate asks the server once.
func (m *Model) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	start := time.Now()
	contents, config, err := m.request(req)
	if err != nil {
		return nil, err
	}
	var answer *genai.GenerateContentResponse
	var retryAfter time.Duration
	endpoint := m.endpoint
	endpoint.Kind = func(f wire.Failure, kind model.ErrorKind) model.ErrorKind {
		retryAfter = retryInfo(f.Body)
		return refineKind(f, kind)
	}
	err = endpoint.Do(ctx, func(ctx context.Context) (err error) {
		answer, err = m.client.Models.GenerateContent(ctx, m.opts.Model, contents, config)
		return err
	})
	if err != nil {
		if failure, ok := err.(*model.Error); ok && failure.RetryAfter == 0 { //nolint:errorlint // made just above
			failure.RetryAfter = retryAfter
		}
		return nil, err
	}
	resp, err := m.response(answer, len(req.Messages))
	if err != nil {
		return nil, err
	}
	resp.Latency = time.Since(start)
	return resp, nil
}

// refineKind mends what the status alone says wrongly: a wrong key comes as a bad
// request.
func refineKind(f wire.Failure, kind model.ErrorKind) model.ErrorKind {
	switch {
	case strings.Contains(string(f.Body), "API_KEY_INVALID"), strings.Contains(f.Message, "API key not valid"),
		strings.Contains(f.Message, "API key expired"):
		return model.Unauthorized
	case f.Status == http.StatusBadRequest && strings.Contains(f.Message, "token count") && strings.Contains(f.Message, "exceeds"):
		return model.ContextLength
	}
	return kind
}

// retryInfo reads the pause that the error's details ask for: Google sends a
// google.rpc.RetryInfo instead of a header.
func retryInfo(body []byte) time.Duration {
	var answer struct {
		Error struct {
			Details []struct {
				Type       string `json:"@type"`
				RetryDelay string `json:"retryDelay"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return 0
	}
	for _, detail := range answer.Error.Details {
		if strings.HasSuffix(detail.Type, "google.rpc.RetryInfo") {
			if d, err := time.ParseDuration(detail.RetryDelay); err == nil && d > 0 {
				return d
			}
		}
	}
	return 0
}

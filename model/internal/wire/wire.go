// Package wire carries the requests of the official SDKs and turns what goes
// wrong into [model.Error].
//
// The SDKs disagree about failures: one loses the status of an answer that is
// not JSON, one drops the headers, one prints the whole body, and the errors of
// two hold the request with its key. So a transport beneath them notes status,
// headers and body of every failed answer, and the error is made from that note;
// the SDK's own error is used only where no answer came.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mlgym/model"
)

// maxFailureBytes bounds how much of a failed answer is read.
const maxFailureBytes = 64 << 10

// DefaultTimeout is how long one answer may take unless options say otherwise.
const DefaultTimeout = 10 * time.Minute

// Endpoint is where requests go and what must not be told about them.
type Endpoint struct {
	Provider string
	BaseURL  string
	// Key is removed from every error.
	Key string
	// Timeout bounds one request; 0 is DefaultTimeout.
	Timeout time.Duration
	// Kind may refine the kind of a failed answer; nil keeps what the status says.
	Kind func(f Failure, kind model.ErrorKind) model.ErrorKind
}

// Check validates what a user wrote: an absolute http or https URL and a key
// without characters that no header can carry.
func (e Endpoint) Check() error {
	u, err := url.Parse(e.BaseURL)
	if err != nil {
		return fmt.Errorf("%s: base URL is not a URL", e.Provider)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s: base URL %q is not of the form http://HOST:PORT/PATH", e.Provider, u.Redacted())
	}
	if strings.ContainsFunc(e.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s: the API key holds a space, a line break or another character that no key has", e.Provider)
	}
	return nil
}

// Failure is an answer with a failure status.
type Failure struct {
	Status  int
	Header  http.Header
	Message string // the server's, possibly with the key
	Code    string // error.code or error.status where there is one
	Type    string // error.type where there is one
	Body    []byte
}

type noteKey struct{}

// note is where the transport leaves what it saw of one call.
type note struct {
	failure *Failure
	// whole is set once the body of a successful answer was read to its end: what
	// goes wrong after that is the content.
	whole bool
}

// Do runs one SDK call under the endpoint's timeout and returns its error, if
// any, as a *model.Error (or as the error of ctx where that has ended).
func (e Endpoint) Do(ctx context.Context, call func(ctx context.Context) error) error {
	timeout := e.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	n := &note{}
	callCtx, cancel := context.WithTimeout(context.WithValue(ctx, noteKey{}, n), timeout)
	defer cancel()
	err := call(callCtx)
	if err == nil {
		return nil
	}
	if f := n.failure; f != nil && ctx.Err() == nil {
		failure := model.StatusError(e.Provider, f.Status, f.Header, f.text(), e.Key)
		if e.Kind != nil {
			failure.Kind = e.Kind(*f, failure.Kind)
		}
		return failure
	}
	if n.whole && ctx.Err() == nil {
		return e.BadResponse("%s did not answer in the expected format: %v", model.SafeURL(e.BaseURL), err)
	}
	return model.TransportError(ctx, e.Provider, e.BaseURL, err, e.Key)
}

// text is the message with the code where the message does not say it.
func (f *Failure) text() string {
	text := f.Message
	for _, extra := range []string{f.Code, f.Type} {
		if extra != "" && !strings.Contains(text, extra) {
			text += " (" + extra + ")"
			break
		}
	}
	if f.Status >= 300 && f.Status < 400 {
		text = "the server redirects to " + f.Header.Get("Location") + "; use that as the base URL if it is right"
	}
	return text
}

// BadResponse is the error of an answer that came but makes no sense.
func (e Endpoint) BadResponse(format string, args ...any) error {
	err := model.StatusError(e.Provider, 0, nil, fmt.Sprintf(format, args...), e.Key)
	err.Kind = model.BadResponse
	return err
}

// Client returns an HTTP client for an SDK that is called within [Endpoint.Do].
// It follows no redirect, since a key in a header of its own would follow too.
// The transport may be nil.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{
		Transport:     noting{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type noting struct{ next http.RoundTripper }

// RoundTrip sends the request and notes a failed answer.
func (t noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	n, ok := req.Context().Value(noteKey{}).(*note)
	if !ok {
		return resp, nil
	}
	if resp.StatusCode < 300 {
		resp.Body = &watched{ReadCloser: resp.Body, note: n}
		return resp, nil
	}
	body, readErr := io.ReadAll(io.LimitReader(resp.Body, maxFailureBytes))
	closeErr := resp.Body.Close()
	_, _ = readErr, closeErr // the status alone is worth more than why its text is cut
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	n.failure = parseFailure(resp.StatusCode, resp.Header, body)
	return resp, nil
}

// watched notes when a body was read to its end.
type watched struct {
	io.ReadCloser
	note *note
}

// Read reads from the body.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.note.whole = true
	}
	return n, err //nolint:wrapcheck // a reader's io.EOF must stay itself
}

// parseFailure reads the shapes in use: {"error":{"message","code"|"status","type"}},
// the same in a list, {"error":"…"}, {"message":"…"}, {"detail":…}, and text.
func parseFailure(status int, header http.Header, body []byte) *Failure {
	f := &Failure{Status: status, Header: header, Body: body}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var outer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &outer) != nil {
		f.Message = string(body)
		return f
	}
	var inner struct {
		Message string          `json:"message"`
		Code    json.RawMessage `json:"code"`
		Status  string          `json:"status"`
		Type    string          `json:"type"`
	}
	switch {
	case json.Unmarshal(outer.Error, &inner) == nil && inner.Message != "":
		f.Message, f.Type, f.Code = inner.Message, inner.Type, inner.Status
		if code := unquoted(inner.Code); f.Code == "" && strings.ContainsFunc(code, isLetter) && code != "null" {
			f.Code = code
		}
	case unquoted(outer.Error) != "":
		f.Message = unquoted(outer.Error)
	case outer.Message != "":
		f.Message = outer.Message
	case unquoted(outer.Detail) != "":
		f.Message = unquoted(outer.Detail)
	default:
		f.Message = string(body)
	}
	return f
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// unquoted returns the text of a JSON string, or the JSON itself.
func unquoted(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

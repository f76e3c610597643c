package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// maxMessageBytes bounds the server's message in an Error: some proxies answer
// with a whole web page.
const maxMessageBytes = 600

// kindText is what a person reads for a kind.
func (k ErrorKind) text() string {
	switch k {
	case RateLimited:
		return "rate limited"
	case Overloaded:
		return "server fault"
	case Unreachable:
		return "unreachable"
	case ContextLength:
		return "context too long"
	case Unauthorized:
		return "not authorized"
	case NotFound:
		return "not found"
	case BadRequest:
		return "bad request"
	case BadResponse:
		return "bad response"
	}
	return string(k)
}

// Error names the provider, the kind, the HTTP status and the server's message.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Provider != "" {
		b.WriteString(e.Provider + ": ")
	}
	b.WriteString(e.Kind.text())
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	switch {
	case e.Message != "":
		b.WriteString(": " + e.Message)
	case e.Err != nil:
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// Retryable says whether the same request may succeed later: the kinds
// RateLimited, Overloaded and Unreachable.
func (e *Error) Retryable() bool {
	switch e.Kind {
	case RateLimited, Overloaded, Unreachable:
		return true
	case ContextLength, Unauthorized, NotFound, BadRequest, BadResponse:
	}
	return false
}

// KindOf returns the kind of the first *Error in err's chain, or "" where there
// is none (a cancelled context, for example).
func KindOf(err error) ErrorKind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// StatusError returns the Error of an HTTP answer with a failure status. The
// kind follows from the status and, for a prompt that does not fit, from the
// message; RetryAfter comes from the header, which may be nil. Secrets are
// removed from the message.
func StatusError(provider string, status int, header http.Header, message string, secrets ...string) *Error {
	e := &Error{
		Kind:       statusKind(status),
		Provider:   provider,
		Status:     status,
		RetryAfter: RetryAfter(header, time.Now()),
		Message:    cleanMessage(message, secrets),
	}
	if (e.Kind == BadRequest || status >= 500) && isContextLength(message) {
		e.Kind = ContextLength
	}
	if e.Message == "" {
		e.Message = strings.ToLower(http.StatusText(status))
	}
	return e
}

func statusKind(status int) ErrorKind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusPaymentRequired:
		return Unauthorized
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return Overloaded
	case status == http.StatusRequestEntityTooLarge:
		return ContextLength
	case status >= 400 && status < 500:
		return BadRequest
	case status >= 500:
		return Overloaded
	}
	return BadResponse
}

// contextLengthPhrases are pieces of the messages by which servers say that a
// prompt does not fit, in lower case.
var contextLengthPhrases = []string{
	"context_length_exceeded",                      // OpenAI, code
	"maximum context length",                       // OpenAI, vLLM
	"maximum model length",                         // vLLM
	"exceed_context_size",                          // llama.cpp, type
	"exceeds the available context size",           // llama.cpp
	"context size has been exceeded",               // llama.cpp
	"prompt is too long",                           // Anthropic
	"exceed context limit",                         // Anthropic, with max_tokens
	"exceeds the maximum number of tokens allowed", // Gemini
	"context window",                               // several
	"context length of only",                       // LM Studio
}

func isContextLength(message string) bool {
	message = strings.ToLower(message)
	for _, phrase := range contextLengthPhrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// RetryAfter reads the headers Retry-After (seconds or a date) and
// Retry-After-Ms. It is 0 where they are absent, malformed or in the past.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	if v := header.Get("Retry-After-Ms"); v != "" {
		if ms, err := strconv.ParseFloat(v, 64); err == nil && ms > 0 && ms < 1e12 {
			return time.Duration(ms * float64(time.Millisecond))
		}
	}
	v := header.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if s > 0 && s < 1e9 {
			return time.Duration(s * float64(time.Second))
		}
		return 0
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// TransportError classifies an error by which no whole answer came. A context
// that the caller ended comes back as its own error, wrapped; a broken or absent
// connection is Unreachable and names the URL; anything else is BadResponse.
// The context is the caller's, without the provider's own timeout. Secrets, and
// a password in the URL, are removed.
func TransportError(ctx context.Context, provider, baseURL string, err error, secrets ...string) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%s: %w", provider, ctxErr)
	}
	address := SafeURL(baseURL)
	if u, parseErr := url.Parse(baseURL); parseErr == nil {
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		}
	}
	// Only the innermost part is kept: the error of net/http repeats the URL and
	// an SDK's own error may hold the request with its headers.
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	e := &Error{Kind: Unreachable, Provider: provider}
	var (
		netErr net.Error
		dnsErr *net.DNSError
		opErr  *net.OpError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = fmt.Sprintf("no answer from %s in time", address)
		// A provider's own time-out is not the caller's, so nothing above may
		// mistake it for the end of the caller's context.
		e.Err = errNoAnswer
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("connection refused by %s; is the server running, and is the base URL right?", address)
		e.Err = syscall.ECONNREFUSED
	case errors.As(err, &dnsErr):
		e.Message = fmt.Sprintf("cannot resolve host %s of %s; check the base URL and the network", dnsErr.Name, address)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Message = fmt.Sprintf("the connection to %s broke", address)
	case errors.As(err, &opErr), errors.As(err, &netErr), urlErr != nil:
		e.Message = fmt.Sprintf("cannot talk to %s: %s", address, cleanMessage(err.Error(), secrets))
	default:
		e.Kind = BadResponse
		e.Message = fmt.Sprintf("%s did not answer in the expected format: %s", address, cleanMessage(err.Error(), secrets))
	}
	return e
}

// SafeURL returns a URL without user, password, query and fragment, for messages.
func SafeURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "the base URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

var errNoAnswer = errors.New("no answer in time")

// Redact replaces each secret in text, also where it is escaped as in a URL or
// in JSON, by "[redacted]". Secrets of fewer than six bytes are left: they are
// placeholders for servers that need no key.
func Redact(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) < 6 {
			continue
		}
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
		if quoted, err := json.Marshal(secret); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		for _, form := range forms {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	return text
}

// cleanMessage makes one bounded line without secrets. Redaction comes first, so
// that no part of a key is left at the cut.
func cleanMessage(message string, secrets []string) string {
	message = strings.Join(strings.Fields(Redact(message, secrets...)), " ")
	if len(message) > maxMessageBytes {
		cut := maxMessageBytes
		for cut > 0 && !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut] + "…"
	}
	return message
}

// Package httpsession is how sessions are spoken of over HTTP, whatever the
// protocol: how a request names its session, how bodies are read, and which status
// an error has.
package httpsession

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"mlgym/gym"
	"mlgym/server/session"
)

// A client says which session it means by a header, by a field of the body, or by
// the cookie that its first reset set, in this order.
const (
	Header = "X-Session-ID"
	Cookie = "mlgym_session"
	Field  = "session_id"
)

// Sessions finds the sessions of requests.
type Sessions struct {
	Table *session.Table
	// Client names whoever sent a request, for the limit on one client's sessions.
	Client func(r *http.Request) string
	// MaxBodyBytes bounds the body of a request.
	MaxBodyBytes int64
}

// Named finds the session that a request names, nil where it names none.
func (s *Sessions) Named(r *http.Request, fields map[string]json.RawMessage) (*session.Session, error) {
	id := r.Header.Get(Header)
	if id == "" {
		_ = json.Unmarshal(fields[Field], &id) // of another type: as good as none
	}
	if id == "" {
		if named, err := r.Cookie(Cookie); err == nil {
			id = named.Value
		}
	}
	if id == "" {
		return nil, nil //nolint:nilnil // no session, and nothing wrong with that
	}
	return s.Table.Find(id)
}

// NamedOrNew finds the session that a request names, or opens one and tells the
// client of it. A cookie of a session that is gone counts for nothing.
func (s *Sessions) NamedOrNew(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) (*session.Session, error) {
	found, err := s.Named(r, fields)
	if found != nil || err != nil && r.Header.Get(Header) != "" {
		return found, err
	}
	if found, err = s.Table.Open(s.Client(r), false); err != nil {
		return nil, err
	}
	http.SetCookie(w, cookie(found.ID(), 0))
	w.Header().Set(Header, found.ID())
	return found, nil
}

// cookie names a session. It is not for TLS only, as the server does not speak it.
func cookie(id string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: Cookie, Value: id, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode} //nolint:gosec // see above
}

// Forget has the client forget its session.
func Forget(w http.ResponseWriter) {
	http.SetCookie(w, cookie("", -1))
}

// Read reads the body of a request, or answers what is wrong with it.
func (s *Sessions) Read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBodyBytes))
	if err == nil {
		return body, true
	}
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		Detail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", s.MaxBodyBytes))
	} else {
		Detail(w, http.StatusBadRequest, "the body could not be read")
	}
	return nil, false
}

// Status is that of an error of a session.
func Status(err error) int {
	var refused *session.RequestError
	var full *session.CapacityError
	switch {
	case errors.As(err, &refused):
		return http.StatusUnprocessableEntity
	case errors.As(err, &full), errors.Is(err, session.ErrDraining):
		return http.StatusServiceUnavailable
	case errors.Is(err, session.ErrUnknown), errors.Is(err, session.ErrClosed):
		return http.StatusNotFound
	case errors.Is(err, session.ErrNotReset), errors.Is(err, session.ErrDone), errors.Is(err, session.ErrBusy),
		errors.Is(err, session.ErrRunning), errors.Is(err, session.ErrTaken), errors.Is(err, gym.ErrNoSnapshot):
		return http.StatusConflict
	default:
		return http.StatusInternalServerError
	}
}

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, if this fails
}

// Detail answers with a sentence.
func Detail(w http.ResponseWriter, status int, text string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	JSON(w, status, map[string]string{"detail": text})
}

package server

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"mlgym/internal/loopback"
	"mlgym/pool"
	"mlgym/server/httpsession"
	"mlgym/server/mcp"
	"mlgym/server/nemogym"
	"mlgym/server/openenv"
	"mlgym/server/session"
)

// Options of a [Server]. Zero fields take the defaults that are named.
type Options struct {
	Sessions *session.Table
	// Tasks that can be chosen, and the one of a reset that names none.
	Tasks   []openenv.Task
	Default string
	// Warm says how the sandboxes fare that are kept ready; it may be nil.
	Warm func() map[string]pool.Stats
	// Token that every request has to carry, but those for the server's health; ""
	// where whoever reaches the server may use it.
	Token string
	// MaxBodyBytes bounds a message or a body; 1 MiB.
	MaxBodyBytes int64
	// MaxConnections bounds those at a time; 4096. What comes beyond them waits.
	MaxConnections int
	Version        string
	Log            *slog.Logger
	// Pages for people, below [PagesPrefix]; they have a guard of their own. Nil
	// serves none.
	Pages http.Handler
}

// PagesPrefix is where the pages for people are.
const PagesPrefix = "/view/"

// Server serves all protocols on one listener.
type Server struct {
	opts    Options
	http    *http.Server
	openenv *openenv.Handler
	nemo    *nemogym.Handler
	mcp     *mcp.Handler
	sess    *httpsession.Sessions
	// bodyWait is how long a request's body may take to arrive.
	bodyWait time.Duration
}

// New returns a server.
func New(opts Options) *Server {
	if opts.MaxBodyBytes == 0 {
		opts.MaxBodyBytes = 1 << 20
	}
	if opts.MaxConnections == 0 {
		opts.MaxConnections = 4096
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, bodyWait: time.Minute}
	s.sess = &httpsession.Sessions{Table: opts.Sessions, Client: clientOf, MaxBodyBytes: opts.MaxBodyBytes}
	s.openenv = openenv.New(openenv.Options{Sessions: s.sess, Tasks: opts.Tasks, Default: opts.Default, Version: opts.Version, Log: opts.Log})
	s.nemo = &nemogym.Handler{Sessions: s.sess, Choose: s.openenv.Choose}
	s.mcp = mcp.New(mcp.Options{
		Sessions: opts.Sessions, Default: session.Request{Task: opts.Default}, Version: opts.Version,
		Client: clientOf, MaxBodyBytes: opts.MaxBodyBytes, Log: opts.Log,
	})
	const headerWait, idle = 20 * time.Second, 5 * time.Minute
	s.http = &http.Server{
		Handler: s.guarded(s.routes()), ReadHeaderTimeout: headerWait, IdleTimeout: idle, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// routes is what is served. Three of them belong to more than one protocol, which
// is known by what the body has.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.openenv.Routes(mux)
	mux.HandleFunc("POST /reset", s.either(nemogym.ResetField, s.nemo.Reset, s.openenv.Reset))
	mux.HandleFunc("POST /step", s.either(nemogym.StepField, s.nemo.Step, s.openenv.Step))
	mux.HandleFunc("POST /close", s.either("", s.nemo.Close, s.nemo.Close))
	mux.HandleFunc("/mcp", s.serveMCP)
	mux.HandleFunc("GET /status", s.status)
	return mux
}

// either reads the body and chooses a protocol by whether it has a field.
func (s *Server) either(field string, with, without func(http.ResponseWriter, *http.Request, map[string]json.RawMessage)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := s.sess.Read(w, r)
		if !ok {
			return
		}
		fields := map[string]json.RawMessage{}
		if len(bytes.TrimSpace(body)) > 0 {
			if err := json.Unmarshal(body, &fields); err != nil {
				httpsession.JSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": []map[string]any{
					{"type": "json_invalid", "loc": []string{"body"}, "msg": "a JSON object is wanted"},
				}})
				return
			}
		}
		if _, ok := fields[field]; ok {
			with(w, r, fields)
			return
		}
		without(w, r, fields)
	}
}

// serveMCP parts MCP itself from OpenEnv's two methods, which have no handshake.
func (s *Server) serveMCP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.openenv.ServeMCPSocket(w, r)
		return
	}
	if r.Method != http.MethodPost || r.Header.Get(mcp.SessionHeader) != "" || r.Header.Get("Mcp-Protocol-Version") != "" {
		s.mcp.ServeHTTP(w, r)
		return
	}
	body, ok := s.sess.Read(w, r)
	if !ok {
		return
	}
	var message struct {
		Method string `json:"method"`
	}
	_ = json.Unmarshal(body, &message) // what is no message has no method
	switch message.Method {
	case "initialize", "server/discover", "ping":
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mcp.ServeHTTP(w, r)
	default:
		s.openenv.RPC(w, r, body)
	}
}

// status says how the server fares.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	active, most := s.opts.Sessions.Active()
	out := map[string]any{"sessions": active, "max_sessions": most, "draining": s.opts.Sessions.Draining()}
	if s.opts.Warm != nil {
		out["warm"] = s.opts.Warm()
	}
	httpsession.JSON(w, http.StatusOK, out)
}

// clientOf names a client by its address.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// guarded keeps out requests that have no business here: without the token, from a
// page of another site, or by a name that is not this machine's. A fault in a
// handler ends its request only.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				s.opts.Log.Error("a request failed", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				httpsession.Detail(w, http.StatusInternalServerError, "an error of the server; its log says more")
			}
		}()
		if s.opts.Pages != nil && (strings.HasPrefix(r.URL.Path, PagesPrefix) || r.URL.Path == "/") {
			// A browser sends cookies and forms, which the protocols know nothing of.
			if r.URL.Path == "/" {
				to := url.URL{Path: PagesPrefix, RawQuery: r.URL.RawQuery} // a token may be in it
				http.Redirect(w, r, to.String(), http.StatusSeeOther)
				return
			}
			s.opts.Pages.ServeHTTP(w, r)
			return
		}
		if status, text := s.refused(r); status != 0 {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			httpsession.Detail(w, status, text)
			return
		}
		if r.ContentLength != 0 {
			if late := http.NewResponseController(w); late.SetReadDeadline(time.Now().Add(s.bodyWait)) == nil {
				r.Body = &timely{ReadCloser: r.Body, late: late}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timely is a body that has to arrive in time. Once it has, its request may take as
// long as it needs.
type timely struct {
	io.ReadCloser
	late *http.ResponseController
}

// Read implements [io.Reader].
func (t *timely) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) {
		_ = t.late.SetReadDeadline(time.Time{})
	}
	return n, err
}

// refused says why a request is not served; status 0 where it is.
func (s *Server) refused(r *http.Request) (status int, text string) {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && loopback.Is(local.String()) && !loopback.Is(r.Host) && s.opts.Token == "" {
		// A page in a browser can make a name of its own lead to this machine.
		return http.StatusForbidden, fmt.Sprintf("the host %q is not this machine: ask for 127.0.0.1 or localhost, or give the server a token", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && !sameHost(origin, r.Host) {
		return http.StatusForbidden, "requests from the pages of other sites are not served"
	}
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return http.StatusUnsupportedMediaType, "the body has to be application/json"
		}
	}
	if s.opts.Token == "" || r.URL.Path == "/health" {
		return 0, ""
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(s.opts.Token)) != 1 {
		return http.StatusUnauthorized, "a token is wanted: Authorization: Bearer TOKEN"
	}
	return 0, ""
}

func sameHost(origin, host string) bool {
	_, rest, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(rest, host)
}

// CheckAddr refuses an address that others can reach where there is no token.
func CheckAddr(addr, token string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--addr %q: want HOST:PORT, such as 127.0.0.1:8000", addr)
	}
	if token == "" && !loopback.Is(host) {
		return fmt.Errorf("--addr %s can be reached from other machines: set MLGYM_TOKEN or --token-file, or take 127.0.0.1", addr)
	}
	return nil
}

// Serve serves until Shutdown. The listener is closed with it.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&limited{Listener: l, places: make(chan struct{}, s.opts.MaxConnections)})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown takes no more sessions, waits until no action runs any more or ctx ends,
// and ends every connection. It reports how many actions it cut off. The table is
// the caller's to close.
func (s *Server) Shutdown(ctx context.Context) (cut int, err error) {
	cut = s.opts.Sessions.Drain(ctx)
	s.openenv.Close()
	s.mcp.Close()
	// ctx may have ended.
	end, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err = s.http.Shutdown(end); err != nil { //nolint:contextcheck // likewise
		err = s.http.Close()
	}
	return cut, err
}

// limited bounds the connections at a time: what comes beyond waits in the
// system's queue.
type limited struct {
	net.Listener
	places chan struct{}
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	l.places <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// placed is a connection that gives its place back once.
type placed struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}

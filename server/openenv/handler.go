package openenv

import (
	"log/slog"
	"net/http"
	"sync"

	"mlgym/server/httpsession"
	"mlgym/server/session"
)

// Task is one that can be chosen.
type Task struct {
	ID      string `json:"task"`
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Variant string `json:"variant"`
	Metric  string `json:"metric"`
}

// Options of a [Handler].
type Options struct {
	Sessions *httpsession.Sessions
	// Tasks are what the tasks API lists, in an order that stays.
	Tasks []Task
	// Default is the task of a reset that names none; "" means that it has to.
	Default string
	Version string
	Log     *slog.Logger
}

// Handler serves the protocol.
type Handler struct {
	opts    Options
	http    *httpsession.Sessions
	table   *session.Table
	closing chan struct{}

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup // connections; one is added with mu held
}

// New returns a handler.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{opts: opts, http: opts.Sessions, table: opts.Sessions.Table, closing: make(chan struct{})}
}

// Routes adds what the protocol wants to a multiplexer, but for POST /reset, /step
// and /mcp, which other protocols share: see [Handler.Reset], [Handler.Step] and
// [Handler.RPC].
func (h *Handler) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /ws", h.serveWS)
	mux.HandleFunc("GET /health", h.health)
	mux.HandleFunc("GET /metadata", h.metadata)
	mux.HandleFunc("GET /schema", h.schema)
	mux.HandleFunc("GET /openapi.json", h.openapi)
	mux.HandleFunc("GET /state", h.state)
	mux.HandleFunc("POST /episodes/{session}/snapshot", h.snapshot)
	mux.HandleFunc("POST /episodes/{session}/interrupt", h.interrupt)
	mux.HandleFunc("DELETE /snapshots/{id}", h.forget)
	mux.HandleFunc("GET /list_environments", h.listEnvironments)
	mux.HandleFunc("GET /{env}/splits", h.splits)
	mux.HandleFunc("POST /{env}/tasks", h.tasks)
	mux.HandleFunc("POST /{env}/num_tasks", h.numTasks)
	mux.HandleFunc("POST /{env}/task", h.task)
	mux.HandleFunc("POST /{env}/task_range", h.taskRange)
}

// Close ends every connection, after the reply that is under way, and returns when
// they are gone.
func (h *Handler) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.closing)
	}
	h.mu.Unlock()
	h.open.Wait()
}

// enter counts a connection, or answers that none are taken any more.
func (h *Handler) enter(w http.ResponseWriter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		httpsession.Detail(w, http.StatusServiceUnavailable, session.ErrDraining.Error())
		return false
	}
	h.open.Add(1)
	return true
}

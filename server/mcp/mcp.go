// Package mcp puts any MCP-capable agent on a task: it exposes the tools of an
// episode over the Model Context Protocol, through the official SDK, by streamable
// HTTP or by standard input and output.
//
// An MCP session has one episode at a time. Where a task is chosen beforehand, it
// begins with the session, and the server's instructions hold the task's statement;
// otherwise with the tool "begin". Calls that come at once are served one after the
// other.
//
// Rewards and hidden scores are not told: what an agent sees here is what an agent
// sees anywhere else.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"mlgym/gym"
	"mlgym/server/session"
	"mlgym/tool"
)

// SessionHeader is MCP's own name for a session.
const SessionHeader = "Mcp-Session-Id"

// Options of a [Handler].
type Options struct {
	Sessions *session.Table
	// Default is what an episode is begun with, where the client does not say.
	Default session.Request
	Version string
	// Client names whoever sent a request.
	Client func(r *http.Request) string
	// MaxBodyBytes bounds the body of a request.
	MaxBodyBytes int64
	Log          *slog.Logger
}

// Handler serves MCP over streamable HTTP.
type Handler struct {
	opts Options
	http *sdk.StreamableHTTPHandler
	bare *sdk.Server // of requests that have a session, which do not need another

	mu       sync.Mutex
	closed   bool
	episodes map[string]*episode // by the id of their MCP session
	open     sync.WaitGroup      // MCP sessions; one is added with mu held
}

// New returns a handler.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{opts: opts, bare: sdk.NewServer(implementation(opts.Version), nil), episodes: map[string]*episode{}}
	// The hosts that may be asked for are checked for all routes alike.
	h.http = sdk.NewStreamableHTTPHandler(h.serverFor, &sdk.StreamableHTTPOptions{
		Logger: opts.Log, MaxRequestBodyBytes: opts.MaxBodyBytes, DisableLocalhostProtection: true, SessionTimeout: opts.Sessions.Idle(),
	})
	return h
}

func implementation(version string) *sdk.Implementation {
	return &sdk.Implementation{Name: "mlgym", Title: "mlgym", Version: version}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(SessionHeader)
	if id == "" {
		if _, err := fromQuery(h.opts.Default, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	h.http.ServeHTTP(w, r)
	if r.Method == http.MethodDelete {
		h.mu.Lock()
		e := h.episodes[id]
		h.mu.Unlock()
		if e != nil {
			e.end()
		}
	}
}

// Close ends every MCP session, and returns when they are gone.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	for _, e := range h.episodes {
		h.open.Go(func() { _ = e.peer.Close() })
	}
	h.mu.Unlock()
	h.open.Wait()
}

// serverFor makes the server of a new MCP session. The query says which episode it
// gets: task, variant, mode, seed, max_steps. It is called for every request, and
// for most more than once.
func (h *Handler) serverFor(r *http.Request) *sdk.Server {
	if r.Header.Get(SessionHeader) != "" {
		return h.bare
	}
	request, err := fromQuery(h.opts.Default, r)
	if err != nil {
		return nil // ServeHTTP looked
	}
	e := newEpisode(h.opts.Sessions, h.opts.Client(r), request)
	srv := e.server(h.opts.Version, h.opts.Log, "")
	srv.AddReceivingMiddleware(h.welcome(e))
	return srv
}

// welcome begins the episode of a client that introduces itself, and puts the task's
// statement into what it is told. Nothing is held for those that only ask what is
// spoken here.
func (h *Handler) welcome(e *episode) sdk.Middleware {
	return func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
			peer, ok := req.GetSession().(*sdk.ServerSession)
			if method != "initialize" || !ok {
				return next(ctx, method, req)
			}
			if err := h.enter(e, peer); err != nil {
				return nil, err
			}
			statement, _, err := e.statement(ctx)
			if err != nil && !errors.Is(err, errNoTask) {
				e.end()
				return nil, err
			}
			result, err := next(ctx, method, req)
			if told, ok := result.(*sdk.InitializeResult); ok && statement != "" {
				told.Instructions += "\n\n" + statement
			}
			return result, err
		}
	}
}

// enter sees to it that the episode ends with its MCP session.
func (h *Handler) enter(e *episode, peer *sdk.ServerSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return session.ErrDraining
	case e.peer != nil:
		return errors.New("this session was initialized before")
	}
	e.peer = peer
	h.episodes[peer.ID()] = e
	h.open.Go(func() {
		_ = peer.Wait() // how it ended does not matter
		e.end()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.episodes, peer.ID())
	})
	return nil
}

func fromQuery(request session.Request, r *http.Request) (session.Request, error) {
	q := r.URL.Query()
	for name, to := range map[string]*string{"task": &request.Task, "variant": &request.Variant, "mode": &request.Mode} {
		if v := q.Get(name); v != "" {
			*to = v
		}
	}
	if v := q.Get("seed"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 53)
		if err != nil {
			return request, fmt.Errorf("seed=%.40s: a whole number from 0 to 2^53-1 is wanted", v)
		}
		request.Seed = &seed
	}
	if v := q.Get("max_steps"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return request, fmt.Errorf("max_steps=%.40s: a whole number from 1 is wanted", v)
		}
		request.MaxSteps = n
	}
	return request, nil
}

// ServeStdio serves one MCP session over standard input and output, until its
// client ends it. statement is what the client's agent is told at the beginning.
func ServeStdio(ctx context.Context, opts Options) error {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	e := newEpisode(opts.Sessions, "stdio", opts.Default)
	statement, _, err := e.statement(ctx)
	if err != nil && !errors.Is(err, errNoTask) {
		return err
	}
	err = e.server(opts.Version, opts.Log, statement).Run(ctx, &sdk.StdioTransport{})
	e.end()
	return err
}

// errNoTask is the error of an episode that cannot begin by itself.
var errNoTask = errors.New("no task was chosen: call begin with a task, or give the server one")

// episode is what one MCP session has.
type episode struct {
	table   *session.Table
	client  string
	request session.Request
	turn    chan struct{}      // holds a token while a call is served
	peer    *sdk.ServerSession // over HTTP

	mu      sync.Mutex
	session *session.Session
	over    bool // its client has gone
}

func newEpisode(table *session.Table, client string, request session.Request) *episode {
	return &episode{table: table, client: client, request: request, turn: make(chan struct{}, 1)}
}

// take waits until no other call is served.
func (e *episode) take(ctx context.Context) (release func(), err error) {
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// current is the session, nil where there is none yet.
func (e *episode) current() *session.Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.session
}

// open returns the session, a further one only where it is asked for.
func (e *episode) open(again bool) (*session.Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return nil, session.ErrClosed
	}
	if e.session != nil {
		why := e.session.Why()
		if why == nil {
			return e.session, nil
		}
		if !again {
			return nil, fmt.Errorf("the episode has ended (%w): call begin for another one", why)
		}
	}
	s, err := e.table.Open(e.client, false)
	if err != nil {
		return nil, err
	}
	e.session = s
	return s, nil
}

// begin begins the episode, unless it has begun. The caller has the turn.
func (e *episode) begin(ctx context.Context) (*session.Session, error) {
	s, err := e.open(false)
	if err != nil {
		return nil, err
	}
	if _, ok := s.First(); ok {
		return s, nil
	}
	if e.request.Task == "" {
		return nil, errNoTask
	}
	_, err = s.Reset(ctx, e.request)
	return s, err
}

func (e *episode) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.session != nil {
		e.session.Close()
	}
}

const instructions = `You work on a machine-learning task in a sandbox. bash runs shell text in a persistent shell; the other tools open and edit files there, ` +
	`validate scores what you have so far, submit hands it in and ends the episode. The tool "task" returns the statement of the task. ` +
	`A command that takes long is answered by "still running": call wait, or interrupt.`

// server makes an MCP server with the episode's tools.
func (e *episode) server(version string, log *slog.Logger, statement string) *sdk.Server {
	text := instructions
	if statement != "" {
		text += "\n\n" + statement
	}
	srv := sdk.NewServer(implementation(version), &sdk.ServerOptions{
		Instructions: text, Logger: log, Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}},
	})
	add := func(name, description string, schema json.RawMessage, run func(ctx context.Context, args json.RawMessage) (string, bool, error)) {
		srv.AddTool(&sdk.Tool{Name: name, Description: description, InputSchema: schema}, func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			out, failed, err := run(ctx, req.Params.Arguments)
			if err != nil {
				// An agent can do something about most of these: reset, wait.
				out, failed = err.Error()+"\n", true
			}
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: out}}, IsError: failed}, nil
		})
	}
	add("task", "Returns the statement of the task.\n", noArguments, func(ctx context.Context, _ json.RawMessage) (string, bool, error) {
		return e.statement(ctx)
	})
	add("begin", "Begins another episode: the one so far is given up. Fields left out stay as they were.\n", beginSchema, e.restart)
	add("bash", "Runs shell text in the episode's persistent bash and returns what it prints.\n", bashSchema, func(ctx context.Context, args json.RawMessage) (string, bool, error) {
		var in struct {
			Command *string `json:"command"`
		}
		if err := json.Unmarshal(args, &in); err != nil || in.Command == nil {
			return "bash takes {\"command\": \"shell text\"}.\n", true, nil
		}
		return e.step(ctx, gym.Action{Command: *in.Command})
	})
	for _, word := range []string{session.WordWait, session.WordInterrupt} {
		add(word, map[string]string{
			session.WordWait:      "Waits for the command that is still running.\n",
			session.WordInterrupt: "Stops the command that is still running, and returns what it printed.\n",
		}[word], noArguments, func(ctx context.Context, _ json.RawMessage) (string, bool, error) { return e.goOn(ctx, word) })
	}
	for _, t := range tool.All() {
		add(t.Name, t.Prose(), t.Parameters, func(ctx context.Context, args json.RawMessage) (string, bool, error) {
			if len(args) == 0 {
				args = json.RawMessage("{}")
			}
			return e.step(ctx, gym.Action{Tool: t.Name, Args: args})
		})
	}
	return srv
}

var (
	noArguments = json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`)
	bashSchema  = json.RawMessage(`{"type":"object","properties":{"command":{"type":"string","description":"the shell text"}},"required":["command"],"additionalProperties":false}`)
	beginSchema = json.RawMessage(`{"type":"object","properties":{"task":{"type":"string"},"variant":{"type":"string"},"seed":{"type":"integer","minimum":0}},"additionalProperties":false}`)
)

// statement returns the task's text, beginning the episode where it has not begun.
func (e *episode) statement(ctx context.Context) (string, bool, error) {
	release, err := e.take(ctx)
	if err != nil {
		return "", true, err
	}
	defer release()
	s, err := e.begin(ctx)
	if err != nil {
		return "", true, err
	}
	first, _ := s.First()
	return first.Observation.Text, false, nil
}

// restart begins another episode.
func (e *episode) restart(ctx context.Context, args json.RawMessage) (string, bool, error) {
	var in struct {
		Task    string  `json:"task"`
		Variant string  `json:"variant"`
		Seed    *uint64 `json:"seed"`
	}
	if len(args) > 0 {
		if err := json.Unmarshal(args, &in); err != nil {
			return "begin takes a task, a variant and a seed, none of which is needed.\n", true, nil
		}
	}
	request := e.request
	if in.Task != "" {
		request.Task = in.Task
	}
	if in.Variant != "" {
		request.Variant = in.Variant
	}
	if in.Seed != nil {
		request.Seed = in.Seed
	}
	if request.Task == "" {
		return "A task is wanted.\n", true, nil
	}
	release, err := e.take(ctx)
	if err != nil {
		return "", true, err
	}
	defer release()
	s, err := e.open(true)
	if err != nil {
		return "", true, err
	}
	reply, err := s.Reset(ctx, request)
	return reply.Observation.Text, false, err
}

// step runs an action, in an episode that is begun where there is none.
func (e *episode) step(ctx context.Context, a gym.Action) (string, bool, error) {
	release, err := e.take(ctx)
	if err != nil {
		return "", true, err
	}
	defer release()
	s, err := e.begin(ctx)
	if err != nil {
		return "", true, err
	}
	return perform(ctx, s, a)
}

func perform(ctx context.Context, s *session.Session, a gym.Action) (string, bool, error) {
	reply, err := s.Step(ctx, a, session.StepOptions{})
	if err != nil {
		return "", true, err
	}
	text := reply.Observation.Text
	if reply.Done() {
		text += fmt.Sprintf("The episode is over (%s).\n", reply.Info.ExitStatus)
	}
	return text, reply.Info.ExitCode != 0 || reply.Mask, nil
}

// goOn waits for what runs, or stops it.
func (e *episode) goOn(ctx context.Context, word string) (string, bool, error) {
	s := e.current()
	if s == nil || !s.State().Running {
		return "Nothing is running.\n", false, nil
	}
	if word == session.WordInterrupt {
		s.Interrupt() // at once, though another call may wait for what runs
	}
	release, err := e.take(ctx)
	if err != nil {
		return "", true, err
	}
	defer release()
	if !s.State().Running {
		return "The command has ended: what it printed is the result of the call that waited for it.\n", false, nil
	}
	return perform(ctx, s, gym.Action{Command: word})
}

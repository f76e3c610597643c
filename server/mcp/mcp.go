// Package mcp puts any MCP-capable agent on a task: it exposes the tools of an
// episode over the Model Context Protocol, through the official SDK, by streamable
// HTTP or by standard input and output.
//
// An MCP session has one episode. It begins with the first call of a tool; the
// server's instructions hold the task's statement where a task is chosen beforehand.
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

// SessionHeader is MCP's own name for a session. Its value is the session's id.
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
}

// New returns a handler.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{opts: opts}
	// The hosts that may be asked for are checked for all routes alike.
	h.http = sdk.NewStreamableHTTPHandler(h.serverFor, &sdk.StreamableHTTPOptions{
		Logger: opts.Log, MaxRequestBodyBytes: opts.MaxBodyBytes, DisableLocalhostProtection: true,
	})
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.http.ServeHTTP(w, r)
	if r.Method == http.MethodDelete {
		if s, err := h.opts.Sessions.Find(r.Header.Get(SessionHeader)); err == nil {
			s.Close()
		}
	}
}

// serverFor makes the server of a new MCP session. The query says which episode it
// gets: task, variant, mode, seed, max_steps.
func (h *Handler) serverFor(r *http.Request) *sdk.Server {
	request, err := fromQuery(h.opts.Default, r)
	if err != nil {
		return nil // answered by status 400
	}
	e := &episode{table: h.opts.Sessions, client: h.opts.Client(r), request: request}
	return e.server(h.opts.Version, h.opts.Log, "")
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
			return request, err
		}
		request.Seed = &seed
	}
	if v := q.Get("max_steps"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return request, err
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
	e := &episode{table: opts.Sessions, client: "stdio", request: opts.Default}
	statement := ""
	if opts.Default.Task != "" {
		reply, err := e.begin(ctx)
		if err != nil {
			return err
		}
		statement = reply.Observation.Text
	}
	err := e.server(opts.Version, opts.Log, statement).Run(ctx, &sdk.StdioTransport{})
	e.end()
	return err
}

// episode is what one MCP session has.
type episode struct {
	table   *session.Table
	client  string
	request session.Request

	mu      sync.Mutex
	session *session.Session
}

// open opens the session, which is MCP's session too.
func (e *episode) open() (*session.Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != nil {
		return e.session, nil
	}
	var err error
	e.session, err = e.table.Open(e.client, false)
	return e.session, err
}

// begin begins the episode, unless it has begun.
func (e *episode) begin(ctx context.Context) (session.Reply, error) {
	s, err := e.open()
	if err != nil {
		return session.Reply{}, err
	}
	if reply, ok := s.Last(); ok {
		return reply, nil
	}
	if e.request.Task == "" {
		return session.Reply{}, errors.New("no task was chosen: call begin with a task, or give the server one")
	}
	return s.Reset(ctx, e.request)
}

func (e *episode) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
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
	srv := sdk.NewServer(&sdk.Implementation{Name: "mlgym", Title: "mlgym", Version: version}, &sdk.ServerOptions{
		Instructions: text, Logger: log, Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}},
		GetSessionID: func() string {
			s, err := e.open()
			if err != nil {
				return "" // the first call says why
			}
			return s.ID()
		},
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
			Command string `json:"command"`
		}
		if err := json.Unmarshal(args, &in); err != nil {
			return "bash takes {\"command\": \"shell text\"}.\n", true, nil
		}
		return e.step(ctx, gym.Action{Command: in.Command})
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
	e.mu.Lock()
	s := e.session
	e.mu.Unlock()
	if s != nil {
		if first, ok := s.First(); ok {
			return first.Observation.Text, false, nil
		}
	}
	reply, err := e.begin(ctx)
	return reply.Observation.Text, false, err
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
	s, err := e.open()
	if err != nil {
		return "", true, err
	}
	reply, err := s.Reset(ctx, request)
	return reply.Observation.Text, false, err
}

// step runs an action, in an episode that is begun where there is none.
func (e *episode) step(ctx context.Context, a gym.Action) (string, bool, error) {
	if _, err := e.begin(ctx); err != nil {
		return "", true, err
	}
	e.mu.Lock()
	s := e.session
	e.mu.Unlock()
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
	e.mu.Lock()
	s := e.session
	e.mu.Unlock()
	if s == nil || !s.State().Running {
		return "Nothing is running.\n", false, nil
	}
	return e.step(ctx, gym.Action{Command: word})
}

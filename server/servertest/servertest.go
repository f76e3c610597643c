// Package servertest starts servers on an address of their own, and has a client for
// their WebSocket that hides nothing.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mlgym/server"
	"mlgym/server/openenv"
	"mlgym/server/session"
	"mlgym/server/session/sessiontest"
)

// long is more than anything takes that is waited for.
const long = time.Minute

// House is a server that answers.
type House struct {
	URL   string // http://127.0.0.1:PORT
	Works *sessiontest.Works
	Table *session.Table
	*server.Server
}

// Start starts a server, whose environments are those of package sessiontest unless
// sessions says otherwise. The server is ended with the test, and has to hold nothing
// then.
func Start(t testing.TB, sessions session.Options, opts server.Options) *House {
	t.Helper()
	h := &House{Works: &sessiontest.Works{}}
	if sessions.Make == nil {
		sessions.Make = h.Works.Make
	}
	h.Table = session.NewTable(sessions)
	opts.Sessions = h.Table
	if opts.Tasks == nil {
		opts.Tasks = []openenv.Task{{ID: "words", Name: "Words", Variant: "full", Metric: "score"}, {ID: "more", Name: "More words", Variant: "full", Metric: "score"}}
		opts.Default = "words"
	}
	opts.Version = "test"
	h.Server = server.New(opts)
	h.listen(t)
	return h
}

func (h *House) listen(t testing.TB) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.URL = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(listener) }()
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel() // nothing is waited for
		if _, err := h.Shutdown(ended); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		h.Table.Close()
		if n := h.Works.Open(); n != 0 {
			t.Errorf("%d environments are open in the end", n)
		}
	})
}

// Client is a WebSocket.
type Client struct {
	t    testing.TB
	Conn *websocket.Conn
}

// Frame is a message of the server, with the fields that tests look at.
type Frame struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// Observed is the data of an observation, an error or a state, as far as tests look.
type Observed struct {
	Observation struct {
		Text     string            `json:"text"`
		Step     int               `json:"step"`
		Running  bool              `json:"running"`
		Tools    []json.RawMessage `json:"tools"`
		ToolName string            `json:"tool_name"`
		Result   *string           `json:"result"`
		Error    map[string]string `json:"error"`
	} `json:"observation"`
	Reward   *float64 `json:"reward"`
	Done     bool     `json:"done"`
	Metadata struct {
		SessionID   string            `json:"session_id"`
		EpisodeID   string            `json:"episode_id"`
		ExitStatus  string            `json:"exit_status"`
		Truncated   bool              `json:"truncated"`
		Mask        bool              `json:"mask"`
		Evaluations []json.RawMessage `json:"evaluations"`
	} `json:"metadata"`

	Code    string `json:"code"`
	Message string `json:"message"`

	SessionID  string `json:"session_id"`
	SnapshotID string `json:"snapshot_id"`
	StepCount  int    `json:"step_count"`
	Running    bool   `json:"running"`
	Task       string `json:"task"`
	Seed       uint64 `json:"seed"`
}

// Dial opens a WebSocket at a path such as "/ws".
func (h *House) Dial(t testing.TB, path string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.URL, "http")+path, nil) //nolint:bodyclose // of a connection that is a WebSocket now
	if err != nil {
		t.Fatalf("dial %s: %v", path, err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &Client{t: t, Conn: conn}
}

// Send sends a message as it is.
func (c *Client) Send(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	if err := c.Conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send %.200s: %v", text, err)
	}
}

// Raw receives a message.
func (c *Client) Raw() []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	_, text, err := c.Conn.Read(ctx)
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return text
}

// Receive receives a message.
func (c *Client) Receive() (kind string, data Observed) {
	c.t.Helper()
	text := c.Raw()
	var f Frame
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("received %.200s: %v", text, err)
	}
	if err := json.Unmarshal(f.Data, &data); err != nil {
		c.t.Fatalf("received %.200s: %v", text, err)
	}
	return f.Type, data
}

// Ask sends a message and returns the data of the reply, which has to be of a kind.
func (c *Client) Ask(text, want string) Observed {
	c.t.Helper()
	c.Send(text)
	kind, data := c.Receive()
	if kind != want {
		c.t.Fatalf("%.200s is answered by %s %+v, want %s", text, kind, data, want)
	}
	return data
}

// Reset begins an episode.
func (c *Client) Reset() Observed {
	c.t.Helper()
	return c.Ask(`{"type":"reset","data":{"seed":7}}`, "observation")
}

// Step runs a command.
func (c *Client) Step(command string) Observed {
	c.t.Helper()
	text, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Ask(`{"type":"step","data":{"command":`+string(text)+`}}`, "observation")
}

// Closed waits for the end of the connection, and fails unless it has a status.
func (c *Client) Closed(want websocket.StatusCode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	for {
		_, _, err := c.Conn.Read(ctx)
		if err == nil {
			continue // what was sent before
		}
		if got := websocket.CloseStatus(err); got != want {
			c.t.Errorf("the connection ended by status %d (%v), want %d", got, err, want)
		}
		return
	}
}

// HTTP sends a request with a JSON body, none where it is "", and returns the status
// and the body of the reply. Headers come in pairs.
func (h *House) HTTP(t testing.TB, method, path, body string, headers ...string) (status int, reply string, header http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	var src io.Reader
	if body != "" {
		src = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.URL+path, src)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, string(bytes.TrimSpace(text)), res.Header
}

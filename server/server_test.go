package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mlgym/server"
	"mlgym/server/openenv"
	"mlgym/server/servertest"
	"mlgym/server/session"
	"mlgym/server/session/sessiontest"
)

const token = "0123456789abcdef"

// TestWhoIsServed: the token, the host, the origin, the type of the body.
func TestWhoIsServed(t *testing.T) {
	open := servertest.Start(t, session.Options{}, server.Options{})
	closed := servertest.Start(t, session.Options{}, server.Options{Token: token})
	bearer := "Bearer " + token
	host := strings.TrimPrefix(open.URL, "http://")
	for _, c := range []struct {
		name         string
		house        *servertest.House
		method, path string
		body         string
		headers      []string
		want         int
	}{
		{"anyone", open, "GET", "/metadata", "", nil, 200},
		{"localhost", open, "GET", "/metadata", "", []string{"Host", "localhost"}, 200},
		{"another name", open, "GET", "/metadata", "", []string{"Host", "evil.example"}, 403},
		{"another name with a port", open, "GET", "/metadata", "", []string{"Host", "evil.example:8000"}, 403},
		{"another name's WebSocket", open, "GET", "/ws", "", []string{"Host", "evil.example"}, 403},
		{"another name's MCP", open, "POST", "/mcp", "{}", []string{"Host", "evil.example"}, 403},
		{"its own page", open, "POST", "/reset", "{}", []string{"Origin", "http://" + host}, 200},
		{"another page", open, "POST", "/reset", "{}", []string{"Origin", "http://evil.example"}, 403},
		{"a file's page", open, "POST", "/reset", "{}", []string{"Origin", "null"}, 403},
		{"another port's page", open, "POST", "/reset", "{}", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"another page's close without a body", open, "POST", "/close", "", []string{"Origin", "http://evil.example"}, 403},
		{"a form", open, "POST", "/reset", "{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"text", open, "POST", "/step", "{}", []string{"Content-Type", "text/plain"}, 415},
		{"a strange type", open, "POST", "/step", "{}", []string{"Content-Type", ";;"}, 415},
		{"JSON with a charset", open, "POST", "/reset", "{}", []string{"Content-Type", "application/json; charset=utf-8"}, 200},

		{"no token", closed, "GET", "/metadata", "", nil, 401},
		{"no token, WebSocket", closed, "GET", "/ws", "", nil, 401},
		{"no token, MCP", closed, "POST", "/mcp", "{}", nil, 401},
		{"no token, NeMo Gym", closed, "POST", "/reset", `{"responses_create_params":{}}`, nil, 401},
		{"no token, a path that is not there", closed, "GET", "/x", "", nil, 401},
		{"no token, nearly the health", closed, "GET", "/health/", "", nil, 401},
		{"the health", closed, "GET", "/health", "", nil, 200},
		{"another token", closed, "GET", "/metadata", "", []string{"Authorization", bearer + "0"}, 401},
		{"the beginning of the token", closed, "GET", "/metadata", "", []string{"Authorization", bearer[:len(bearer)-1]}, 401},
		{"another scheme", closed, "GET", "/metadata", "", []string{"Authorization", "Basic " + token}, 401},
		{"the token in the query", closed, "GET", "/metadata?token=" + token, "", nil, 401},
		{"the token", closed, "GET", "/metadata", "", []string{"Authorization", bearer}, 200},
		{"the token, by another name", closed, "GET", "/metadata", "", []string{"Authorization", bearer, "Host", "gpu.example"}, 200},
		{"the token, from another page", closed, "POST", "/reset", "{}", []string{"Authorization", bearer, "Origin", "http://evil.example"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := c.house.HTTP(t, c.method, c.path, c.body, c.headers...)
			if status != c.want {
				t.Errorf("%d %s, want %d", status, body, c.want)
			}
			if status == 401 && header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("the headers are %v", header)
			}
			if strings.Contains(body, token) {
				t.Errorf("the answer tells the token: %s", body)
			}
		})
	}
}

func TestCheckAddr(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8000": "", "localhost:0": "", "[::1]:8000": "", "127.1.2.3:1": "",
		"0.0.0.0:8000": "MLGYM_TOKEN", ":8000": "MLGYM_TOKEN", "[::]:8000": "MLGYM_TOKEN", "10.0.0.1:80": "MLGYM_TOKEN", "gpu.example:80": "MLGYM_TOKEN",
		"8000": "HOST:PORT", "": "HOST:PORT", "::1:80": "HOST:PORT",
	} {
		err := server.CheckAddr(addr, "")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", addr, err, want)
		}
		if err := server.CheckAddr(addr, token); err != nil && want != "HOST:PORT" {
			t.Errorf("%q with a token: %v", addr, err)
		}
	}
}

// TestSlowClients: headers and bodies that never come to their end are not waited
// for; a command that takes longer than that is.
func TestSlowClients(t *testing.T) {
	const wait = 200 * time.Millisecond
	works := &sessiontest.Works{}
	table := session.NewTable(session.Options{Make: works.Make})
	defer table.Close()
	srv := server.New(server.Options{Sessions: table, Tasks: []openenv.Task{{ID: "words"}}, Default: "words"})
	srv.SetWaits(wait, wait)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(listener) }()
	h := &servertest.House{URL: "http://" + listener.Addr().String(), Table: table, Server: srv}
	for name, text := range map[string]string{
		"half a line":    "GET /hea",
		"half a header":  "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow",
		"half a body":    "POST /reset HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
		"half a chunk":   "POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{",
		"half of MCP's":  "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: x\r\nContent-Length: 10\r\n\r\n{",
		"nothing at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, listener.Addr().String())
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection is still there: %v", err)
			}
		})
	}
	_, body, header := h.HTTP(t, "POST", "/reset", "{}")
	status, reply, _ := h.HTTP(t, "POST", "/step", `{"action":{"command":"sleep 500ms"}}`, "X-Session-ID", header.Get("X-Session-ID"))
	if status != http.StatusOK || !strings.Contains(reply, "slept") {
		t.Errorf("a command that takes longer than a body may: %d %s %s", status, reply, body)
	}
	if _, err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestManyConnections opens ten thousand, or as many as this machine allows, that
// say half a word and wait; a session goes on throughout, and new clients are served
// as soon as there is a place.
func TestManyConnections(t *testing.T) {
	const places, rest = 20_000, 400
	want := 10_000
	if servertest.RaceDetector {
		want = 1000 // it makes each of them slow, and finds nothing that fewer do not show
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before := limit
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Logf("the limit on open files stays at %d: %v", before.Cur, err)
		limit.Cur = before.Cur
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }()
	n := min(want, (int(min(limit.Cur, 1<<20))-rest)/2) // both ends are in this process
	if n < want {
		t.Logf("of %d connections only %d can be opened here: both ends count, and %d files may be open", want, n, limit.Cur)
	}
	if n < 100 {
		t.Skipf("SKIPPED, there is no crowd of %d", n)
	}
	h := servertest.Start(t, session.Options{}, server.Options{MaxConnections: places})
	few := servertest.Start(t, session.Options{}, server.Options{MaxConnections: 4})

	c := h.Dial(t, "/ws")
	c.Reset()
	began := time.Now()
	crowd(t, h, n)
	t.Logf("%d connections in %s", n, time.Since(began).Round(time.Millisecond))
	for i := range 20 {
		if got := c.Step("count").Observation.Text; got != fmt.Sprintf("seed 7, %d actions\n", i) {
			t.Errorf("beside the crowd: %q", got)
		}
	}
	other := h.Dial(t, "/ws")
	if got := other.Reset(); got.Observation.Text != "the statement\n" {
		t.Errorf("a new client beside the crowd: %+v", got)
	}

	// Where the places are taken, those who have one are served; others wait for it.
	c = few.Dial(t, "/ws")
	c.Reset()
	leave := crowd(t, few, 20)
	if got := c.Step("count").Observation.Text; got != "seed 7, 0 actions\n" {
		t.Errorf("with all places taken: %q", got)
	}
	late := make(chan int)
	go func() {
		status, _, _ := few.HTTP(t, "GET", "/health", "")
		late <- status
	}()
	select {
	case status := <-late:
		t.Errorf("a client without a place was served: %d", status)
	case <-time.After(50 * time.Millisecond): // it can only fail where it should not
	}
	leave()
	if status := <-late; status != http.StatusOK {
		t.Errorf("after the others left: %d", status)
	}
}

// crowd opens connections that say half a word.
func crowd(t *testing.T, h *servertest.House, n int) (leave func()) {
	t.Helper()
	addr := strings.TrimPrefix(h.URL, "http://")
	conns := make([]net.Conn, n)
	const hands = 16
	var opening sync.WaitGroup
	for hand := range hands {
		opening.Go(func() {
			for i := hand; i < n; i += hands {
				conn, err := (&net.Dialer{Timeout: time.Minute}).DialContext(t.Context(), "tcp", addr)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
				if _, err := conn.Write([]byte("GET /ws HT")); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	opening.Wait()
	leave = func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
	t.Cleanup(leave)
	return leave
}

// TestPipelined: requests that come ahead on one connection are answered in order,
// and one that is no HTTP ends it.
func TestPipelined(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	conn := dial(t, strings.TrimPrefix(h.URL, "http://"))
	const health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := conn.Write([]byte(strings.Repeat(health, 3) + "no HTTP\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for i, want := range []int{200, 200, 200, 400} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		if res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("request %d: %s, %v", i, res.Status, err)
		}
	}
}

// TestPages: what is below the prefix belongs to the pages, whose guard knows cookies;
// nothing else gets past the token by them.
func TestPages(t *testing.T) {
	asked := make(chan string, 10)
	house := servertest.Start(t, session.Options{}, server.Options{Token: token, Pages: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path })})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		path, page, to string
		want           int
	}{
		{"/", "", "/view/", 303},
		{"/?token=a%26b", "", "/view/?token=a%26b", 303},
		{"/view/runs/", "/view/runs/", "", 200},
		// The pages are asked, whose guard is theirs, and know no such page.
		{"/view/../metadata", "/view/../metadata", "", 200},
		{"/view/%2e%2e/metadata", "/view/../metadata", "", 200},
		{"/viewer", "", "", 401},
		{"/metadata", "", "", 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, house.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = "//" + r.URL.Host + c.path // as it is, not made tidy
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		page := ""
		select {
		case page = <-asked:
		default:
		}
		if answer.StatusCode != c.want || page != c.page || answer.Header.Get("Location") != c.to {
			t.Errorf("%s: got %d, page %q, sent to %q; want %d, %q, %q", c.path, answer.StatusCode, page, answer.Header.Get("Location"), c.want, c.page, c.to)
		}
	}
}

package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"mlgym/web/page"
)

var room = fstest.MapFS{
	"templates/hello.html": {Data: []byte(`<h1>{{.}}</h1><a href="{{url "runs/K/"}}">run</a><script type="application/json" id="d">{{json .}}</script><form><input name="csrf" value="{{csrf}}"></form>`)},
	"static/room.js":       {Data: []byte(`"use strict";`)},
}

// site makes a site with one page, hello/.
func site(o page.Options, g page.Guard) http.Handler {
	s := page.New(o)
	r := s.NewRoom("room", room)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{$}", func(w http.ResponseWriter, req *http.Request) {
		r.Render(w, req, page.Page{Title: "Hello", Path: "hello/", Template: "hello", Data: "</script><b>\"'&\u202e", Scripts: []string{"room/room.js", "not/there.js"}})
	})
	mux.HandleFunc("GET /panics/{$}", func(http.ResponseWriter, *http.Request) { panic("a fault") })
	mux.HandleFunc("POST /act", s.Action(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "acted") }))
	return s.Handler(mux, g)
}

func get(h http.Handler, target string, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+target, nil)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRender(t *testing.T) {
	t.Run("served below a prefix", func(t *testing.T) {
		w := get(site(page.Options{Prefix: "/view/"}, page.Guard{}), "/view/hello/", nil)
		body := w.Body.String()
		for _, want := range []string{
			`<h1>&lt;/script&gt;&lt;b&gt;&#34;&#39;&amp;[U+202E]</h1>`, `href="/view/runs/K/"`, `<script src="/view/static/room/room.js?v=`, "<title>Hello · mlgym</title>",
			`"\u003c/script\u003e\u003cb\u003e\"'\u0026[U+202E]"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %s:\n%s", want, body)
			}
		}
		if strings.Contains(body, "not/there") {
			t.Error("the page asks for a script that is not there")
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("policy %q", csp)
		}
	})
	t.Run("in a folder", func(t *testing.T) {
		body := get(site(page.Options{Static: true}, page.Guard{}), "/hello/", nil).Body.String()
		for _, want := range []string{`href="../runs/K/index.html"`, `src="../static/room/room.js"`, `http-equiv="Content-Security-Policy"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %s:\n%s", want, body)
			}
		}
	})
	t.Run("static files", func(t *testing.T) {
		h := site(page.Options{}, page.Guard{})
		if w := get(h, "/static/room/room.js", nil); w.Body.String() != `"use strict";` || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
		}
		for _, path := range []string{"/static/room/none.js", "/static/../site.go", "/static/room/..%2f..%2fsite.go"} {
			if w := get(h, path, nil); w.Code == http.StatusOK {
				t.Errorf("%s: got %d", path, w.Code)
			}
		}
	})
	t.Run("a fault ends its request only", func(t *testing.T) {
		h := site(page.Options{}, page.Guard{})
		if w := get(h, "/panics/", nil); w.Code != http.StatusInternalServerError {
			t.Errorf("got %d", w.Code)
		}
		if w := get(h, "/hello/", nil); w.Code != http.StatusOK {
			t.Errorf("afterwards got %d", w.Code)
		}
	})
}

func TestGuard(t *testing.T) {
	const token = "0123456789abcdef"
	open, closed := site(page.Options{}, page.Guard{}), site(page.Options{}, page.Guard{Token: token})
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		name   string
		h      http.Handler
		target string
		edit   func(*http.Request)
		want   int
	}{
		{"loopback", open, "/hello/", nil, 200},
		{"localhost", open, "/hello/", host("localhost:8080"), 200},
		{"loopback of version 6", open, "/hello/", host("[::1]:8080"), 200},
		{"a name that leads here", open, "/hello/", host("evil.example:8080"), 403},
		{"a name that begins like it", open, "/hello/", host("localhost.evil.example"), 403},
		{"an address that is not loopback", open, "/hello/", host("192.0.2.1"), 403},
		{"static files too", open, "/static/page/app.js", host("evil.example"), 403},
		{"without the token", closed, "/hello/", nil, 403},
		{"static files without the token", closed, "/static/page/app.js", nil, 403},
		{"another token", closed, "/hello/?token=0123456789abcdeF", nil, 403},
		{"the token", closed, "/hello/?token=" + token, nil, 303},
		{"the token of a program", closed, "/hello/", header("Authorization", "Bearer "+token), 200},
		{"another of a program", closed, "/hello/", header("Authorization", "Bearer x"), 403},
		{"a made-up cookie", closed, "/hello/", header("Cookie", "mlgym_viewer="+token), 403},
		{"any name with a token", closed, "/hello/", func(r *http.Request) { r.Host = "lab.example"; r.Header.Set("Authorization", "Bearer "+token) }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := get(c.h, c.target, c.edit); w.Code != c.want {
				t.Errorf("got %d, want %d: %s", w.Code, c.want, w.Body)
			}
		})
	}
	t.Run("the cookie", func(t *testing.T) {
		w := get(closed, "/hello/?a=b&token="+token, nil)
		cookies := w.Result().Cookies()
		if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || strings.Contains(cookies[0].Value, token) {
			t.Fatalf("got cookies %v", cookies)
		}
		if to := w.Header().Get("Location"); to != "/hello/?a=b" {
			t.Errorf("sent to %q", to)
		}
		if w := get(closed, "/hello/", func(r *http.Request) { r.AddCookie(cookies[0]) }); w.Code != http.StatusOK {
			t.Errorf("with the cookie got %d", w.Code)
		}
	})
	t.Run("a login leads to no other site", func(t *testing.T) {
		w := get(closed, "//evil.example/?token="+token, nil)
		if to := w.Header().Get("Location"); strings.HasPrefix(to, "//") || strings.Contains(to, "://") {
			t.Errorf("sent to %q", to)
		}
	})
}

// TestAction attacks the requests that change something.
func TestAction(t *testing.T) {
	h := site(page.Options{Control: true}, page.Guard{})
	_, rest, _ := strings.Cut(get(h, "/hello/", nil).Body.String(), `name="csrf" value="`)
	csrf, _, _ := strings.Cut(rest, `"`)
	if len(csrf) < 20 {
		t.Fatalf("csrf %q", csrf)
	}
	post := func(h http.Handler, csrf string, edit func(*http.Request)) int {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/act", strings.NewReader(url.Values{"csrf": {csrf}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if edit != nil {
			edit(r)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	if got := post(h, csrf, nil); got != http.StatusOK {
		t.Errorf("our own form: got %d", got)
	}
	if got := post(h, csrf, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }); got != http.StatusOK {
		t.Errorf("our own form in a browser: got %d", got)
	}
	for name, attack := range map[string]func() int{
		"without the secret": func() int { return post(h, "", nil) },
		"with another":       func() int { return post(h, csrf+"x", nil) },
		"from another site": func() int {
			return post(h, csrf, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		},
		"from another origin": func() int {
			return post(h, csrf, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") })
		},
		"where nothing is allowed":  func() int { return post(site(page.Options{}, page.Guard{}), csrf, nil) },
		"with another site's token": func() int { return post(site(page.Options{Control: true}, page.Guard{}), csrf, nil) },
		"by a link":                 func() int { return get(h, "/act?csrf="+csrf, nil).Code },
	} {
		if got := attack(); got == http.StatusOK {
			t.Errorf("%s: got %d", name, got)
		}
	}
}

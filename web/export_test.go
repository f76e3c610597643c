package web_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym/runstore"
	"mlgym/search"
	"mlgym/web"
	"mlgym/web/record"
	"mlgym/web/webtest"
)

// viewer makes a viewer of the runs below root.
func viewer(t *testing.T, root string, o web.Options) *web.Viewer {
	t.Helper()
	x, err := search.Open(t.Context(), t.TempDir(), search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Roots = []string{root}
	o.Library = record.NewLibrary(record.LibraryOptions{Roots: o.Roots, Index: x})
	o.Library.Start(t.Context())
	t.Cleanup(func() {
		o.Library.Close()
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := o.Library.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := web.New(o)
	t.Cleanup(v.Close)
	return v
}

func manifest(i int) runstore.Manifest {
	return runstore.Manifest{Model: "model", Seed: uint64(i), Created: webtest.Began.Add(time.Duration(i) * time.Minute)} //nolint:gosec // it counts from 0
}

// ordinary makes two runs, one of them with a grader's log.
func ordinary(t *testing.T, root string) {
	t.Helper()
	for i, name := range []string{"a <b>&'\"", "ä%41#?"} {
		e := webtest.Begin(t, filepath.Join(root, name), manifest(i))
		e.Submission("1-validate", "strategy \"x\".py", []byte("x = 1\n"))
		if err := os.WriteFile(filepath.Join(e.Dir, "logs", "1-validate.log"), []byte("the hidden seed is 4711\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		e.Ordinary(1.3)
	}
}

// TestExport follows every link of the written pages, as a browser would from a
// file share.
func TestExport(t *testing.T) {
	root := t.TempDir()
	ordinary(t, root)
	dir := filepath.Join(t.TempDir(), "site")
	done, err := viewer(t, root, web.Options{Static: true}).Export(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if done.Pages < 8 || done.Bytes == 0 {
		t.Errorf("wrote %+v", done)
	}
	pages := 0
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "4711") {
			t.Errorf("%s holds what the grader printed", name)
		}
		if path.Ext(name) != ".html" {
			return nil
		}
		pages++
		for tokens := html.NewTokenizer(strings.NewReader(string(text))); tokens.Next() != html.ErrorToken; {
			token := tokens.Token()
			if token.Data == "form" {
				t.Errorf("%s has a form", name)
			}
			for _, a := range token.Attr {
				if a.Key != "href" && a.Key != "src" || token.Type == html.EndTagToken {
					continue
				}
				to, err := url.Parse(a.Val)
				switch {
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case to.Scheme != "", to.Host != "", strings.HasPrefix(to.Path, "/"), to.RawQuery != "":
					if !strings.HasPrefix(a.Val, "https://") { // what an agent linked to
						t.Errorf("%s leads to %s", name, a.Val)
					}
				case to.Path != "":
					if _, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(to.Path))); err != nil {
						t.Errorf("%s: a link leads nowhere: %v", name, err)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages != done.Pages {
		t.Errorf("%d pages lie there, %d were told of", pages, done.Pages)
	}

	t.Run("with logs", func(t *testing.T) {
		with := filepath.Join(t.TempDir(), "site")
		if _, err := viewer(t, root, web.Options{Static: true, Logs: true}).Export(t.Context(), with, nil); err != nil {
			t.Fatal(err)
		}
		found := false
		_ = filepath.WalkDir(with, func(name string, _ fs.DirEntry, _ error) error {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "4711") {
				found = true
			}
			return nil
		})
		if !found {
			t.Error("no page holds what the grader printed")
		}
	})
	t.Run("an end in the middle leaves what was there", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := viewer(t, root, web.Options{Static: true}).Export(ctx, dir, func(done, _ int) {
			if done == 3 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "runs", "index.html")); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("nothing else is replaced", func(t *testing.T) {
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, "thesis.tex"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := viewer(t, root, web.Options{Static: true}).Export(t.Context(), other, nil); !errors.Is(err, web.ErrNotExport) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(filepath.Join(other, "thesis.tex")); err != nil {
			t.Error(err)
		}
	})
}

// TestViewer asks for each section, where there are no runs and where there are.
func TestViewer(t *testing.T) {
	full := t.TempDir()
	ordinary(t, full)
	for name, root := range map[string]string{"no runs": t.TempDir(), "runs": full} {
		t.Run(name, func(t *testing.T) {
			h := viewer(t, root, web.Options{Prefix: "/view/"}).Handler()
			for target, want := range map[string]int{
				"/view/": 200, "/view/runs/": 200, "/view/experiments/": 200, "/view/leaderboard/": 200, "/view/search/": 200, "/view/tasks/": 200,
				"/view/play/": 200, "/view/runs/aaaaaaaaaaaaaaaa/": 404, "/view/nothing/": 404, "/view/compare/a,b/": 404,
			} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+target, nil))
				if w.Code != want {
					t.Errorf("%s: got %d, want %d", target, w.Code, want)
				}
				if !strings.Contains(w.Body.String(), "<h1") {
					t.Errorf("%s has no heading: %s", target, w.Body)
				}
			}
		})
	}
}

package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mlgym/experiment"
	"mlgym/web/page"
)

// recorder is a Control that writes down what it is asked.
type recorder struct {
	mu    sync.Mutex
	asked []string
	err   error
}

func (c *recorder) add(what, dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, what+" "+filepath.Base(dir))
	return c.err
}

func (c *recorder) Stop(_ context.Context, dir string, hard bool) error {
	return c.add(fmt.Sprintf("stop %t", hard), dir)
}
func (c *recorder) Resume(_ context.Context, dir string) error { return c.add("resume", dir) }
func (c *recorder) Retry(_ context.Context, dir, only string) error {
	return c.add("retry "+only, dir)
}

// post sends a form without following where it leads.
func (s *served) post(path string, form url.Values, header http.Header) (status int, text string) {
	s.tb.Helper()
	request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodPost, s.URL+"/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(request.Header, header)
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// csrf is the secret that the forms of a page carry.
func (s *served) csrf(path string) string {
	s.tb.Helper()
	for n := range tree(s.tb, s.get(path, 200)).Descendants() {
		if attribute(n, "name") == "csrf" {
			return attribute(n, "value")
		}
	}
	s.tb.Fatalf("%s has no form", path)
	return ""
}

// TestControl presses every button.
func TestControl(t *testing.T) {
	root := t.TempDir()
	g := kinds(t, filepath.Join(root, "exp"))
	control := &recorder{}
	s := serve(t, root, page.Options{Control: true}, control)
	path := "experiments/" + s.key() + "/"
	token := s.csrf(path)
	runs := tree(t, s.get(path, 200))
	byID(t, runs, "pause")
	byID(t, runs, "stop-now")

	for _, tt := range []struct {
		to     string
		form   url.Values
		header http.Header
		status int
		asked  string // "" where nothing may happen
		says   string
	}{
		{"stop", url.Values{}, nil, 403, "", "out of date"},
		{"stop", url.Values{"csrf": {"wrong"}}, nil, 403, "", "out of date"},
		{"stop", url.Values{"csrf": {token}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "", "another site"},
		{"stop", url.Values{"csrf": {token}}, http.Header{"Origin": {"http://evil.example"}}, 403, "", "another site"},
		{"stop", url.Values{"csrf": {token}}, nil, 303, "stop false exp", ""},
		{"stop", url.Values{"csrf": {token}, "how": {"now"}}, nil, 200, "", "Stop at once?"},
		{"stop", url.Values{"csrf": {token}, "how": {"now"}, "sure": {"yes"}}, nil, 303, "stop true exp", ""},
		{"resume", url.Values{"csrf": {token}}, nil, 303, "resume exp", ""},
		{"retry", url.Values{"csrf": {token}, "only": {"failed"}}, nil, 303, "retry failed exp", ""},
		{"retry", url.Values{"csrf": {token}, "only": {"unscored"}}, nil, 200, "", "is not honest"},
		{"retry", url.Values{"csrf": {token}, "only": {"unscored"}, "sure": {"yes"}}, nil, 303, "retry unscored exp", ""},
		{"retry", url.Values{"csrf": {token}, "only": {"all"}}, nil, 303, "", ""},
	} {
		control.asked = nil
		status, text := s.post(path+tt.to, tt.form, tt.header)
		if status != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s %v: %d, want %d and %q:\n%s", tt.to, tt.form, status, tt.status, tt.says, text)
		}
		if got := strings.Join(control.asked, ";"); got != tt.asked {
			t.Errorf("%s %v asked for %q, want %q", tt.to, tt.form, got, tt.asked)
		}
	}
	if got := s.get(path, 200); !strings.Contains(got, "can not be tried again") {
		t.Error("the page does not say what came of the last action")
	}
	control.err = errors.New("the disk is <full>")
	if status, _ := s.post(path+"resume", url.Values{"csrf": {token}}, nil); status != 303 {
		t.Errorf("a failed action is answered with %d", status)
	}
	if got := textOf(byID(t, tree(t, s.get(path, 200)), "state")); !strings.Contains(got, "That did not work: the disk is <full>") {
		t.Errorf("a failed action is told as %q", got)
	}
	if status, _ := s.post("experiments/0123456789abcdef/resume", url.Values{"csrf": {token}}, nil); status != 404 {
		t.Errorf("an action on what is no experiment: %d", status)
	}

	// Without a running one, the other buttons.
	g.end(1, 2, "stopped", "")
	s = serve(t, root, page.Options{Control: true}, control)
	stopped := tree(t, s.get("experiments/"+s.key()+"/", 200))
	byID(t, stopped, "resume")
	byID(t, stopped, "retry-failed")
}

// TestWithoutControl tells how to act on the command line.
func TestWithoutControl(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	kinds(t, dir)
	for name, tt := range map[string]struct {
		allowed bool
		control Control
		status  int
	}{"no control": {true, nil, 403}, "not allowed": {false, &recorder{}, 403}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, dir, page.Options{Control: tt.allowed}, tt.control)
			path := "experiments/" + s.key() + "/"
			text := textOf(tree(t, s.get(path, 200)))
			if want := "mlgym experiment stop '" + filepath.Dir(dir) + `/it'\''s here'`; !strings.Contains(text, want) {
				t.Errorf("the page lacks %q", want)
			}
			if status, _ := s.post(path+"stop", url.Values{"csrf": {""}}, nil); status != tt.status {
				t.Errorf("a stop is answered with %d", status)
			}
		})
	}
}

// TestMain is also a mlgym that is started by Process.
func TestMain(m *testing.M) {
	switch mode := os.Getenv("EXPERIMENTS_TEST_MLGYM"); mode {
	case "":
		os.Exit(m.Run())
	case "writes":
		os.Exit(writeSteps())
	case "reads":
		os.Exit(readStream())
	case "waits":
		fmt.Println("ran", os.Args[1:])
		for { // until somebody removes the file
			if _, err := os.Stat(os.Getenv("EXPERIMENTS_TEST_FILE")); err != nil {
				os.Exit(0)
			}
			time.Sleep(5 * time.Millisecond)
		}
	case "refuses":
		fmt.Println("some words")
		fmt.Println("mlgym: read experiment.yaml: no such task")
		os.Exit(2)
	case "falls short":
		fmt.Println("3 of 4 done")
		os.Exit(1)
	}
}

// TestProcess starts processes.
func TestProcess(t *testing.T) {
	dir := t.TempDir()
	g := newGrid(t, dir, []string{"t"}, []string{"a"}, 1, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := func(mode string) *Process {
		return &Process{Program: self, Env: append(os.Environ(), "EXPERIMENTS_TEST_MLGYM="+mode, "EXPERIMENTS_TEST_FILE="+filepath.Join(dir, "go")), Patience: time.Minute}
	}
	if err := process("refuses").Resume(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "no such task") {
		t.Errorf("a command that refuses: %v", err)
	}
	short := process("falls short")
	if err := short.Resume(t.Context(), dir); err != nil {
		t.Errorf("a command that ends with episodes without a result: %v", err)
	}
	if text, bad := short.Tell(dir); bad || !strings.Contains(text, "no result") {
		t.Errorf("it tells %q, %t", text, bad)
	}
	missing := &Process{Program: filepath.Join(dir, "no-mlgym")}
	if err := missing.Resume(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "no-mlgym") {
		t.Errorf("a program that is not there: %v", err)
	}

	write(t, "", dir, "go")
	waits := process("waits")
	waits.Patience = time.Millisecond
	if err := waits.Retry(t.Context(), dir, "failed"); err != nil {
		t.Fatal(err)
	}
	if text, bad := waits.Tell(dir); bad || !strings.Contains(text, "retry runs as process") {
		t.Errorf("while it runs it tells %q, %t", text, bad)
	}
	if err := waits.Resume(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second one beside it: %v", err)
	}
	remove(t, dir, "go")
	<-waits.started[dir].ended
	if text, bad := waits.Tell(dir); bad || text != "" {
		t.Errorf("after it ended well it tells %q, %t", text, bad)
	}
	output, err := os.ReadFile(filepath.Join(dir, OutputName))
	if err != nil || !strings.Contains(string(output), fmt.Sprintf("[experiment retry %s --only failed]", dir)) {
		t.Errorf("its output is %q, %v", output, err)
	}

	if err := process("").Stop(t.Context(), dir, true); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "stop")); err != nil || string(text) != "now\n" {
		t.Errorf("a stop at once wrote %q, %v", text, err)
	}
	if err := process("").Stop(t.Context(), t.TempDir(), false); !errors.Is(err, experiment.ErrNoExperiment) {
		t.Errorf("a stop of nothing: %v", err)
	}
	if err := process("").Resume(t.Context(), filepath.Dir(g.dir)); !errors.Is(err, experiment.ErrNoExperiment) {
		t.Errorf("to go on with nothing: %v", err)
	}
}

func TestShellQuoted(t *testing.T) {
	got := []string{shellQuoted("/a/b-c.d"), shellQuoted(""), shellQuoted("a b"), shellQuoted("$(x)"), shellQuoted("~/é'")}
	if want := []string{"/a/b-c.d", "''", "'a b'", "'$(x)'", `'~/é'\'''`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

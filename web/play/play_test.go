package play_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/search"
	"mlgym/server/session"
	"mlgym/server/supply"
	"mlgym/task"
	"mlgym/web/page"
	"mlgym/web/play"
	"mlgym/web/record"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// hall is a site on which people play, with what it is made of.
type hall struct {
	t      *testing.T
	server *httptest.Server
	pages  *play.Pages
	table  *session.Table
	supply *supply.Supply
	runs   string
	lib    *record.Library
}

// library is one of an empty index.
func library(t *testing.T, roots ...string) *record.Library {
	t.Helper()
	x, err := search.Open(t.Context(), t.TempDir(), search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lib := record.NewLibrary(record.LibraryOptions{Roots: roots, Index: x})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		lib.Close()
		_ = x.Close()
	})
	lib.Start(ctx)
	if err := lib.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return lib
}

// serve starts a site with the pages.
func serve(t *testing.T, lib *record.Library, control bool, o play.Options) (*httptest.Server, *play.Pages) {
	t.Helper()
	site := page.New(page.Options{Control: control, Sections: []page.Section{{ID: "play", Path: "play/", Title: "Play"}}})
	mux := http.NewServeMux()
	pages := play.New(site, lib, o)
	pages.Register(mux)
	server := httptest.NewServer(site.Handler(mux, page.Guard{}))
	t.Cleanup(server.Close)
	return server, pages
}

// open starts a site whose episodes run in sandboxes.
func open(t *testing.T) *hall {
	t.Helper()
	catalog, err := mlgym.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{t: t, runs: t.TempDir()}
	h.supply, err = supply.New(supply.Options{
		Driver: bubblewrap.New(bubblewrap.Options{}), Secret: []byte("the secret of this test, 32 byte"), Tasks: catalog, Variant: "small",
		WarmOthers: -1, Limits: sandbox.Limits{MemoryBytes: 512 << 20}, Runs: h.runs,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.supply.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := h.supply.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.skipWithoutSandbox()
	h.table = session.NewTable(session.Options{Make: h.supply.Make})
	t.Cleanup(h.table.Close)
	h.lib = library(t, h.runs)
	h.server, h.pages = serve(t, h.lib, true, play.Options{Table: h.table, Tasks: h.supply.Tasks(), Default: session.Request{Task: "battleOfSexes", Variant: "small"}})
	t.Cleanup(h.pages.Close)
	return h
}

func (h *hall) skipWithoutSandbox() {
	h.t.Helper()
	made, err := h.supply.Make(h.t.Context(), session.Request{Task: "battleOfSexes", Seed: new(uint64)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer made.Env.Close()
	if _, err = made.Env.Reset(h.t.Context(), gym.ResetOptions{}); err == nil {
		if err := made.Env.Close(); err != nil {
			h.t.Fatal(err)
		}
		if err := os.RemoveAll(made.Record()); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		h.t.Skipf("SKIPPED, nothing of this is tested here: %v", err)
	}
	h.t.Fatal(err)
}

// get returns a page.
func get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer(t, r)
}

func answer(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to := got.Header.Get("Location"); to != "" {
		return got.StatusCode, to
	}
	return got.StatusCode, string(text)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the secret of the forms of a page.
func csrf(t *testing.T, body string) string {
	t.Helper()
	found := csrfField.FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("the page has no form:\n%s", body)
	}
	return found[1]
}

// post sends a form as a browser without scripts does, where script is "", or as our
// script.
func post(t *testing.T, address, secret string, script bool, fields ...string) (status int, body string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	if !script {
		values.Set("csrf", secret)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if script {
		r.Header.Set("X-CSRF-Token", secret)
	}
	return answer(t, r)
}

// player is a person with an episode.
type player struct {
	h       *hall
	t       *testing.T
	address string
	secret  string
	session *session.Session
}

// begin begins an episode.
func (h *hall) begin(fields ...string) *player {
	h.t.Helper()
	status, body := get(h.t, h.server.URL+"/play/")
	if status != http.StatusOK {
		h.t.Fatalf("play/: %d %s", status, body)
	}
	p := &player{h: h, t: h.t, secret: csrf(h.t, body)}
	status, to := post(h.t, h.server.URL+"/play/", p.secret, false, fields...)
	if status != http.StatusSeeOther {
		h.t.Fatalf("start: %d %s", status, to)
	}
	p.address = h.server.URL + to
	id := strings.Trim(strings.TrimPrefix(to, "/play/"), "/")
	var err error
	if p.session, err = h.table.Find(id); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// do sends a form, and waits until what it began is over.
func (p *player) do(fields ...string) {
	p.t.Helper()
	if status, body := post(p.t, p.address, p.secret, false, fields...); status != http.StatusSeeOther {
		p.t.Fatalf("%q is answered by %d %s", fields, status, body)
	}
	p.idle()
}

// idle waits until nothing runs.
func (p *player) idle() { p.until(`data-running="false"`) }

// until waits until the page has a text.
func (p *player) until(text string) string {
	p.t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, body := get(p.t, p.address)
		if strings.Contains(body, text) {
			return body
		}
		if time.Since(begun) > time.Minute {
			p.t.Fatalf("the page never has %q:\n%s", text, body)
		}
	}
}

// run types a command and returns what it printed, as the page shows it.
func (p *player) run(command string) string {
	p.t.Helper()
	p.do("do", "run", "command", command)
	return p.lastOutput()
}

// lastOutput is the text of the last entry.
func (p *player) lastOutput() string {
	p.t.Helper()
	_, body := get(p.t, p.address)
	tree := parse(p.t, body)
	var out string
	walk(tree, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "pre" && strings.Contains(attribute(n, "class"), "out") {
			out = content(n)
		}
		if n.Type == html.ElementNode && strings.HasPrefix(attribute(n, "id"), "entry-") {
			out = ""
		}
	})
	return out
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func content(n *html.Node) string {
	var out strings.Builder
	walk(n, func(n *html.Node) {
		if n.Type == html.TextNode {
			out.WriteString(n.Data)
		}
	})
	return out.String()
}

// byID returns the element with an id, nil where there is none.
func byID(tree *html.Node, id string) *html.Node {
	var found *html.Node
	walk(tree, func(n *html.Node) {
		if n.Type == html.ElementNode && attribute(n, "id") == id {
			found = n
		}
	})
	return found
}

// editorText is the text in the editor's field, as a browser takes it.
func (p *player) editorText() string {
	p.t.Helper()
	_, body := get(p.t, p.address)
	field := byID(parse(p.t, body), "editor-text")
	if field == nil {
		p.t.Fatal("the page has no editor")
	}
	return content(field) // the parser drops the line end after the tag, as browsers do
}

func (p *player) note() string {
	p.t.Helper()
	_, body := get(p.t, p.address)
	return strings.TrimSpace(content(byID(parse(p.t, body), "editor-note")))
}

// TestEpisode plays a task to its end: commands, editor, validate, an interrupt, submit;
// the record is a person's, and replays.
func TestEpisode(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small", "mode", "hardened", "seed", "7", "max_steps", "60")
	if _, body := get(t, p.address); !strings.Contains(body, `href="/tasks/battleOfSexes/"`) {
		t.Error("the page has no link to its task")
	}
	if got := p.run("ls; echo $MLGYM_SEED"); got != "play.py\nstrategy.py\ntarget.py\n7\n" {
		t.Errorf("ls printed %q", got)
	}
	p.do("do", "validate")
	if body := p.until("validate: <strong>1."); !strings.Contains(body, "Best validation, Score") {
		t.Error("the page has no score")
	}

	// Files are found, opened and saved.
	p.do("do", "list")
	_, body := get(t, p.address)
	for _, name := range []string{"play.py", "strategy.py", "target.py"} {
		if !strings.Contains(body, `<button name="open" value="`+name+`"`) {
			t.Errorf("the list lacks %s", name)
		}
	}
	p.do("open", "strategy.py")
	want, err := os.ReadFile("../../tasks/battleOfSexes/starter/strategy.py")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.editorText(); got != string(want) {
		t.Errorf("the editor has %q, want %q", got, want)
	}
	p.do("do", "save", "name", "strategy.py", "text", "def row_strategy(history):\n    return 0\n")
	if got := p.note(); got != "Saved." {
		t.Errorf("after saving: %q", got)
	}
	if got := p.run("cat strategy.py"); got != "def row_strategy(history):\n    return 0\n" {
		t.Errorf("saved was %q", got)
	}

	// A command that takes long is interrupted; the shell lives on.
	p.run("mkfifo never; colour=green")
	if status, body := post(t, p.address, p.secret, true, "do", "run", "command", "cat never"); status != http.StatusNoContent {
		t.Fatalf("a long command: %d %s", status, body)
	}
	p.until("Still running")
	if status, body := post(t, p.address, p.secret, true, "do", "run", "command", "ls"); status != http.StatusConflict || !strings.Contains(body, "still running") {
		t.Errorf("another command meanwhile: %d %s", status, body)
	}
	p.do("do", "interrupt")
	if got := p.lastOutput(); !strings.Contains(got, "stopped from outside") {
		t.Errorf("interrupted: %q", got)
	}
	if got := p.run("echo $colour"); got != "green\n" {
		t.Errorf("the shell has %q", got)
	}

	// The end.
	dir := p.session.Record()
	if !strings.HasPrefix(dir, h.runs) {
		t.Fatalf("the run is in %q", dir)
	}
	p.do("do", "submit")
	body = p.until("The episode is over: submitted.")
	if !strings.Contains(body, "better than the baseline") {
		t.Error("the result is not compared with the baseline")
	}
	if status, text := post(t, p.address, p.secret, true, "do", "run", "command", "ls"); status != http.StatusConflict {
		t.Errorf("a command after the end: %d %s", status, text)
	}
	<-p.session.Ended() // its place is free
	h.table.Close()
	p.until(`id="recorded"`) // the library finds it
	h.lib.Touch()

	manifest, err := runstore.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Agent != "human" || manifest.Seed != 7 || manifest.Variant != "small" || manifest.Limits.MaxSteps != 60 {
		t.Errorf("the manifest says %+v", manifest)
	}
	if want := filepath.Join(h.runs, "battleOfSexes", "human"); filepath.Dir(dir) != want {
		t.Errorf("the run is in %s, want below %s", dir, want)
	}
	result, err := runstore.Summarise(dir)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitStatus.String() != "submitted" {
		t.Errorf("the record says %v", result.ExitStatus)
	}
	replay(t, h, dir)
}

// replay executes a record once more. The interrupted command would not end by itself,
// so it is told what the record says of it.
func replay(t *testing.T, h *hall, dir string) {
	t.Helper()
	run, err := runstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	recorded, err := run.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	for i := range recorded.Steps {
		// The second time nobody interrupts: the same command without its wait.
		if a := &recorded.Steps[i].Action; a.Command == "cat never" {
			recorded.Steps = recorded.Steps[:i]
			break
		}
	}
	if len(recorded.Steps) < 6 {
		t.Fatalf("the record has %d steps before the interrupt", len(recorded.Steps))
	}
	made, err := h.supply.Make(t.Context(), session.Request{Task: "battleOfSexes", Variant: "small", Seed: new(uint64(7)), MaxSteps: 60})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Env.Close()
	differences, err := rollout.Replay(t.Context(), made.Env, recorded)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Errorf("replayed, it differs: %+v", d)
	}
}

// TestEditorIsExact saves and opens texts that a shell, a browser or a here-document
// could change.
func TestEditorIsExact(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small")
	long := strings.Repeat("0123456789 abcdefghij\n", 2500)
	for name, text := range map[string]string{
		"empty":               "",
		"no line end":         "print('hi')",
		"a line end first":    "\nx",
		"two line ends last":  "x\n\n",
		"the delimiter":       "END_OF_FILE\nEND_OF_FILE_2\n",
		"what shells read":    "$HOME `id` $(id) \\ \\n \"q\" 'q' !! \\\n~ * {a,b} <<'EOF'\nEOF\n",
		"what tools read":     "edit 1:2\nx\nend_of_edit\ninsert 1\ny\nend_of_insert\nsubmit\nvalidate\n",
		"tabs and spaces":     "\tx  \n \t\n",
		"control characters":  "\x01\x02\x07\x1b[31mred\x1b[0m\x7f\b\f\v\n",
		"other languages":     "naïve 北京 🙂 \u202eright to left\u202c \u2028 \ufeff\n",
		"a mark at the front": "\ufeffx = 1\n",
		"HTML":                "</textarea><script>alert(1)</script>&amp;&lt;\n",
		"long":                long,
		"a long line":         strings.Repeat("x", 50_000),
	} {
		for _, script := range []bool{true, false} {
			if !script && !strings.Contains(name, "line end") {
				continue // forms without scripts differ in these
			}
			sent := text
			if !script {
				sent = strings.ReplaceAll(text, "\n", "\r\n") // as forms do
			}
			if status, body := post(t, p.address, p.secret, script, "do", "save", "name", "new file's.py", "text", sent); status >= 400 {
				t.Errorf("%s: %d %s", name, status, body)
				continue
			}
			p.idle()
			if got := p.note(); got != "Saved." {
				t.Errorf("%s: after saving: %q", name, got)
			}
			// What is there, as something other than our code tells it.
			if got, want := p.run(`python3 -c "t = open(\"new file's.py\", newline='').read(); print(len(t.encode()), ascii(t[:300]), end='')"`), fmt.Sprint(len(text), " ", ascii(t, text, 300)); got != want {
				t.Errorf("%s: saved was %s, want %s", name, got, want)
			}
			p.do("open", "new file's.py")
			if got := p.note(); got != "Opened." {
				t.Errorf("%s: after opening: %q", name, got)
			}
			if got := p.editorText(); got != text {
				t.Errorf("%s: opened is %.200q, want %.200q", name, got, text)
			}
		}
	}
}

// ascii is what Python's ascii says of the beginning of a text.
func ascii(t *testing.T, text string, most int) string {
	t.Helper()
	runes := []rune(text)
	runes = runes[:min(most, len(runes))]
	quote := '\''
	if strings.ContainsRune(string(runes), '\'') && !strings.ContainsRune(string(runes), '"') {
		quote = '"'
	}
	var out strings.Builder
	out.WriteRune(quote)
	for _, r := range runes {
		switch {
		case r == quote, r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\r':
			out.WriteString(`\r`)
		case r >= ' ' && r < 0x7f:
			out.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	out.WriteRune(quote)
	return out.String()
}

// TestEditorRefuses opens what an editor in a browser would change, and keeps what was
// in it.
func TestEditorRefuses(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small")
	p.do("do", "save", "name", "mine.py", "text", "mine\n")
	p.run(`printf 'a\r\nb\r\n' > dos.txt; printf 'a\r\nb\n' > mixed.txt; printf 'a\rb' > mac.txt; printf '\377\376' > bytes.bin; printf 'a\0b' > nul.bin; seq 100000 > long.txt; mkdir folder`)
	for name, want := range map[string]string{
		"mixed.txt": "line ends", "mac.txt": "line ends", "bytes.bin": "or no text", "nul.bin": "or no text",
		"long.txt": "or no text", "none.txt": "could not be read", "folder": "could not be read",
	} {
		p.do("open", name)
		if got := p.note(); !strings.Contains(got, name) || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := p.editorText(); got != "mine\n" {
			t.Errorf("%s: the editor has %q", name, got)
		}
	}
	// Line ends of two characters stay.
	p.do("open", "dos.txt")
	if got := p.editorText(); got != "a\nb\n" {
		t.Errorf("dos.txt: the editor has %q", got)
	}
	p.do("do", "save", "name", "dos.txt", "text", "a\nb\nc\n")
	if got := p.run("od -An -c dos.txt | tr -s ' '"); got != " a \\r \\n b \\r \\n c \\r \\n\n" {
		t.Errorf("dos.txt has %q", got)
	}
	for _, name := range []string{"", " ", "../x", "/etc/passwd", "a/../../x", "a\nb", "a\x00b", ".", strings.Repeat("x", 500)} {
		for _, what := range []string{"open", "save"} {
			if status, body := post(t, p.address, p.secret, true, "do", what, "name", name, "text", "x"); status != http.StatusUnprocessableEntity {
				t.Errorf("%s %q: %d %s", what, name, status, body)
			}
		}
	}
	for _, text := range []string{"a\x00b", "\xff", strings.Repeat("x", 60_001)} {
		if status, body := post(t, p.address, p.secret, true, "do", "save", "name", "x", "text", text); status != http.StatusUnprocessableEntity {
			t.Errorf("save %.20q: %d %s", text, status, body)
		}
	}
	// Into a folder that is not there: the terminal says why, and the text stays.
	p.do("do", "save", "name", "no/such.py", "text", "kept\n")
	if got := p.note(); !strings.Contains(got, "not saved") {
		t.Errorf("into a folder that is not there: %q", got)
	}
	if got := p.editorText(); got != "kept\n" {
		t.Errorf("the editor has %q", got)
	}
}

// TestWithoutScripts plays with forms alone.
func TestWithoutScripts(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small")
	status, to := post(t, p.address, p.secret, false, "do", "run", "command", "for i in 1 2; do\r\necho line $i\r\ndone")
	if status != http.StatusSeeOther || !strings.HasSuffix(to, "/#end") {
		t.Errorf("a command: %d %s", status, to)
	}
	if got := p.lastOutput(); got != "line 1\nline 2\n" {
		t.Errorf("it printed %q", got)
	}
	if status, body := post(t, p.address, p.secret, false, "do", "run", "command", "  "); status != http.StatusUnprocessableEntity || !strings.Contains(body, "nothing was typed") {
		t.Errorf("nothing: %d", status)
	}
	if status, _ := post(t, p.address, p.secret, false, "do", "dance"); status != http.StatusUnprocessableEntity {
		t.Errorf("what there is not: %d", status)
	}
	status, body := post(t, p.address, p.secret, false, "do", "save", "name", "../x", "text", "typed\r\n")
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "below the workspace") {
		t.Errorf("a file elsewhere: %d", status)
	}
	post(t, p.address, p.secret, false, "do", "forfeit")
	p.until("The episode is over: exit_forfeit.")
}

// TestEvents follows an episode as a page does.
func TestEvents(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small")
	s := follow(t, p.address+"events?rev=1", "")
	p.do("do", "run", "command", "echo '<b>one</b>'")
	entry := s.until("entry", func(data string) bool {
		return strings.Contains(data, "one") && strings.Contains(data, `"running":false`)
	})
	var got struct {
		N    int
		HTML string
	}
	if err := json.Unmarshal([]byte(entry.data), &got); err != nil {
		t.Fatal(err)
	}
	if got.N != 1 || !strings.Contains(got.HTML, `data-command="echo%20%27%3Cb%3Eone%3C%2Fb%3E%27"`) || strings.Contains(got.HTML, "<b>") {
		t.Errorf("the entry is %+v", got)
	}
	last := s.until("status", func(data string) bool { return strings.Contains(data, `"running":false`) }).id
	s.close()
	// What happens while nobody looks is told to the one who comes again.
	p.do("do", "run", "command", "echo two")
	s = follow(t, p.address+"events?rev=1", last)
	if e := s.until("entry", func(string) bool { return true }); !strings.Contains(e.data, "two") || strings.Contains(e.data, "one") {
		t.Errorf("come again, it is told %s", e.data)
	}
	p.do("open", "strategy.py")
	if e := s.until("doc", func(string) bool { return true }); !strings.Contains(e.data, `"language":"python"`) {
		t.Errorf("the editor is told %s", e.data)
	}
	p.session.Close()
	s.until("status", func(data string) bool { return strings.Contains(data, `"over":true`) })
	if _, body := get(t, p.address); !strings.Contains(body, "The session has ended") {
		t.Error("the page does not say that the session has ended")
	}
}

// sse is an event.
type sse struct{ id, name, data string }

type stream struct {
	t      *testing.T
	events chan sse
	close  func()
}

// follow reads events.
func follow(t *testing.T, address, last string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, events: make(chan sse, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.events)
		lines := bufio.NewScanner(got.Body)
		lines.Buffer(nil, 16<<20)
		var e sse
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data += value
			case "":
				if e.name != "" {
					s.events <- e
				}
				e = sse{}
			}
		}
	}()
	s.close = func() {
		cancel()
		<-done
		_ = got.Body.Close()
	}
	t.Cleanup(s.close)
	return s
}

// until returns the first event of a name that is as wanted.
func (s *stream) until(name string, wanted func(data string) bool) sse {
	s.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e, ok := <-s.events:
			switch {
			case !ok:
				s.t.Fatalf("the events ended before a %s", name)
			case e.name == name && wanted(e.data):
				return e
			}
		case <-late:
			s.t.Fatalf("no such %s came", name)
		}
	}
}

// TestHostileOutput: nothing that a program prints or a person types becomes part of the
// page.
func TestHostileOutput(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small")
	const evil = `<script>alert(1)</script><img src=x onerror=alert(1)></pre></textarea>" onload="x`
	p.run("printf '%s' " + `'` + evil + `'`)
	p.run("touch '" + strings.ReplaceAll(evil, "/", "_") + "'")
	p.do("do", "list")
	p.run("mkdir 'a<b>' && cd 'a<b>'")
	_, body := get(t, p.address)
	walk(parse(t, body), func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		if n.Data == "script" && attribute(n, "src") == "" || n.Data == "img" || n.Data == "b" {
			t.Errorf("the page has a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("the page has %s on <%s>", a.Key, n.Data)
			}
		}
	})
	if !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Error("what was printed is not there")
	}
}

// TestLimit ends an episode by its steps, and grades what is there.
func TestLimit(t *testing.T) {
	h := open(t)
	p := h.begin("task", "battleOfSexes", "variant", "small", "max_steps", "2")
	p.run("true")
	if _, body := get(t, p.address); !strings.Contains(body, "1, 1 left") {
		t.Error("the page does not say how many steps are left")
	}
	p.run("true")
	p.until("The episode is over: autosubmission (max_steps).")
}

// TestRefusals: what cannot be begun is said on the page.
func TestRefusals(t *testing.T) {
	h := open(t)
	_, body := get(t, h.server.URL+"/play/")
	secret := csrf(t, body)
	for name, tt := range map[string]struct {
		fields []string
		status int
		want   string
	}{
		"no task":        {[]string{"task", "nothing"}, 422, "there is no task &#34;nothing&#34;"},
		"no variant":     {[]string{"task", "battleOfSexes", "variant", "tiny"}, 422, "tiny"},
		"no mode":        {[]string{"task", "battleOfSexes", "mode", "easy"}, 422, "easy"},
		"a seed":         {[]string{"task", "battleOfSexes", "seed", "-1"}, 422, "whole number"},
		"a limit":        {[]string{"task", "battleOfSexes", "max_steps", "x"}, 422, "whole number"},
		"a negative one": {[]string{"task", "battleOfSexes", "max_steps", "-1"}, 422, "whole number"},
	} {
		status, body := post(t, h.server.URL+"/play/", secret, false, tt.fields...)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d, want %d and %q:\n%s", name, status, tt.status, tt.want, body)
		}
	}
	if active, _ := h.table.Active(); active != 0 {
		t.Errorf("%d sessions are left", active)
	}
	if status, _ := post(t, h.server.URL+"/play/", "wrong", false, "task", "battleOfSexes"); status != http.StatusForbidden {
		t.Errorf("without the secret of the form: %d", status)
	}
	for _, path := range []string{"/play/0123/", "/play/0123/events"} {
		if status, body := get(t, h.server.URL+path); status != http.StatusNotFound || !strings.Contains(body, "not here") {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestLooking: without a table, or control, the page says how it is started, and nothing
// can be begun.
func TestLooking(t *testing.T) {
	lib := library(t, t.TempDir())
	for name, control := range map[string]bool{"no table": true, "no control": false} {
		server, _ := serve(t, lib, control, play.Options{Tasks: []*task.Task{}})
		status, body := get(t, server.URL+"/play/")
		if status != http.StatusOK || !strings.Contains(body, "mlgym view --play") || strings.Contains(body, "<form") {
			t.Errorf("%s: %d\n%s", name, status, body)
		}
		if strings.Contains(body, "<script>") {
			t.Errorf("%s: the page has a script of its own", name)
		}
		if status, _ := post(t, server.URL+"/play/", "x", true, "task", "battleOfSexes"); status != http.StatusForbidden {
			t.Errorf("%s: a start is answered by %d", name, status)
		}
	}
}

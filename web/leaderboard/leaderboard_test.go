package leaderboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/plot"
	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/webtest"
)

// viewer is the pages over a folder of runs.
type viewer struct {
	t     *testing.T
	lib   *record.Library
	pages *Pages
	mux   http.Handler
}

func show(t *testing.T, o page.Options, roots ...string) *viewer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	index, err := search.Open(ctx, filepath.Join(t.TempDir(), "index"), search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lib := record.NewLibrary(record.LibraryOptions{Roots: roots, Index: index})
	lib.Start(ctx)
	site := page.New(o)
	mux := http.NewServeMux()
	p := New(site, lib)
	p.board.resamples = 50
	p.Register(mux)
	t.Cleanup(func() {
		p.Close()
		cancel()
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := lib.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return &viewer{t: t, lib: lib, pages: p, mux: mux}
}

func (s *viewer) ask(path string) *httptest.ResponseRecorder {
	s.t.Helper()
	answer := httptest.NewRecorder()
	s.mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/"+path, nil))
	return answer
}

// get asks for a page whose numbers are there.
func (s *viewer) get(path string) string {
	s.t.Helper()
	u, err := url.Parse("/" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.pages.board.wait(s.t.Context(), parseSettings(u.Query())); err != nil {
		s.t.Fatal(err)
	}
	answer := s.ask(path)
	if answer.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// published finds the published runs that lie beside the repository.
func published(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "evaluation", "runs")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the published runs are not here: %v", err)
	}
	return path
}

var block = regexp.MustCompile(`(?s)<script type="application/json" id="chart-([a-z_]+)">(.*?)</script>`)

// charts are the data blocks of a page, by figure.
func charts(t *testing.T, text string) map[string]*chart {
	t.Helper()
	out := map[string]*chart{}
	for _, found := range block.FindAllStringSubmatch(text, -1) {
		c := &chart{}
		if err := json.Unmarshal([]byte(found[2]), c); err != nil {
			t.Fatalf("%s: %v", found[1], err)
		}
		out[found[1]] = c
	}
	return out
}

// same compares numbers, in which none equals none.
var same = cmp.Comparer(func(a, b report.Number) bool { return a == b || a.IsNone() && b.IsNone() })

// TestPageAndFilesAgree: tables are, byte for byte, those that `mlgym report` writes, and the
// values that the page's charts are drawn from are those of report.json.
func TestPageAndFilesAgree(t *testing.T) {
	root := published(t)
	s := show(t, page.Options{}, root)
	study, err := report.Collect(t.Context(), s.lib.Roots(), report.Options{Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	want := report.Compute(study, report.Settings{Resamples: 50, Seed: 1}) // as show has it
	want.Inputs = s.lib.Roots()
	dir := t.TempDir()
	if err := want.WriteDir(t.Context(), dir, []report.Format{report.CSV, report.LaTeX, report.SVG, report.JSON}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if got := s.get("leaderboard/" + filepath.ToSlash(name)); got != string(text) {
			t.Errorf("%s differs from what mlgym report writes", name)
		}
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 60 {
		t.Errorf("only %d files were compared", files)
	}

	var have report.Report
	if err := json.Unmarshal([]byte(s.get("leaderboard/report.json")), &have); err != nil {
		t.Fatal(err)
	}
	for d, path := range map[report.Definition]string{report.MLGym: "leaderboard/", report.Corrected: "leaderboard/corrected/"} {
		text := s.get(path)
		found := charts(t, text)
		if len(found) < 15 {
			t.Fatalf("%s has %d charts", path, len(found))
		}
		n := have.Definitions[d]
		st := have.Statistics

		// Areas with intervals.
		for i, m := range have.Models {
			e := st.Models[m.ID].PublishedAUP
			if d == report.Corrected {
				e = st.Models[m.ID].AUP
			}
			if diff := cmp.Diff(spot{m.Short, i, e.Value, report.Number(math.NaN()), e.Runs[0], e.Runs[1]}, found["aup_intervals"].Spots[i], same); diff != "" {
				t.Errorf("%s: area of %s (-json +page):\n%s", path, m.ID, diff)
			}
		}

		// Profiles: the steps of the published ones are in report.json as places of the grid.
		if d == report.MLGym {
			for k, kind := range []*report.PerformanceKindNumbers{n.Performance.Best, n.Performance.Last} {
				for i, m := range have.Models {
					checkProfile(t, found["performance_profile"].Panels[k].Series[i], kind.Profiles[m.ID], n, len(have.Tasks))
				}
			}
		}
		bands := found["profile_intervals"].Panels[0].Series
		for i, m := range have.Models {
			if diff := cmp.Diff([][]report.Number{st.Bands.Grid, st.Bands.Low[report.Best][m.ID], st.Bands.High[report.Best][m.ID]}, [][]report.Number{bands[i].BandX, bands[i].Low, bands[i].High}, same); diff != "" {
				t.Errorf("%s: band of %s (-json +page):\n%s", path, m.ID, diff)
			}
			for j, x := range bands[i].X {
				at := 0
				for st.Bands.Grid[at] != x {
					at++
				}
				if want := st.Bands.Mid[report.Best][m.ID][at]; bands[i].Y[j] != want {
					t.Errorf("%s: profile of %s at %v is %v, in report.json %v", path, m.ID, x, bands[i].Y[j], want)
				}
			}
		}

		// Cost against performance.
		for _, s := range found["aup_vs_cost"].Spots {
			m := have.Models[s.Style]
			usd, area := have.Cost[m.ID].AvgUSD, n.Performance.Best.Rounded[m.ID]
			if d == report.Corrected {
				usd = have.Cost[m.ID].AvgUSDNonZero
				area = report.Number(math.RoundToEven(1000*float64(n.Performance.Best.NeverCounts[m.ID])) / 1000)
			}
			if s.X != usd || s.Y != area {
				t.Errorf("%s: %s stands at (%v, %v), in report.json (%v, %v)", path, m.ID, s.X, s.Y, usd, area)
			}
		}

		// Ends, failures and actions.
		checkParts(t, path, found["exit_status_per_model"], have.Models, n.Exits.PerModel)
		checkParts(t, path, found["actions_per_model"], have.Models, n.Actions.PerModel)
		for i, m := range have.Models {
			c := found["failed_incomplete_per_model"]
			if got, want := c.Parts[0].Values[i], n.Failures.FailedPerModel[m.ID]; float64(got) != float64(want) {
				t.Errorf("%s: %v failed runs of %s, in report.json %d", path, got, m.ID, want)
			}
			if got, want := c.Parts[1].Values[i], n.Failures.IncompletePerModel[m.ID]; float64(got) != float64(want) {
				t.Errorf("%s: %v incomplete runs of %s, in report.json %d", path, got, m.ID, want)
			}
		}
		for _, p := range found["actions_per_step"].Parts {
			for i, v := range p.Values {
				if want := n.Actions.PerStep[i][p.Name]; float64(v) != float64(want) {
					t.Errorf("%s: %v actions %s in step %d, in report.json %d", path, v, p.Name, i+1, want)
				}
			}
		}

		// Anytime curves.
		any1 := st.Anytime["steps"]
		curves := 0
		for _, c := range found["anytime_steps"].Panels[0].Series {
			m := have.Models[c.Style]
			for j, x := range c.X {
				at := 0
				for any1.Grid[at] != x {
					at++
				}
				if want := any1.Mean[m.ID][at]; c.Y[j] != want && !(want.IsNone() && c.Y[j].IsNone()) {
					t.Errorf("%s: score of %s after %v steps is %v, in report.json %v", path, m.ID, x, c.Y[j], want)
				}
			}
			curves++
		}
		if curves != len(any1.Mean) {
			t.Errorf("%s: %d anytime curves, in report.json %d", path, curves, len(any1.Mean))
		}

		// The tables for people hold what the page of the report holds.
		for _, sec := range want.Sections() {
			for _, tab := range sec.Tables {
				if tab.Definition != d || tab.Name != "best_scores" {
					continue
				}
				for _, row := range tab.Rows {
					if !strings.Contains(text, "<td>"+html.EscapeString(row[0])+"</td>") {
						t.Errorf("%s lacks the row %q of %s", path, row[0], tab.Name)
					}
					for _, c := range row[1:] {
						if !strings.Contains(text, html.EscapeString(c)+"</") {
							t.Errorf("%s lacks %q of the row %q", path, c, row[0])
						}
					}
				}
			}
		}
	}
}

func checkProfile(t *testing.T, s series, steps [][2]int, n *report.Numbers, tasks int) {
	t.Helper()
	type at struct {
		place, tasks int
	}
	var got, want []at
	grid := float64(n.Performance.MaxTau) / float64(n.Performance.GridPoints-1)
	for i := range s.X {
		// The last point closes the curve.
		if i == len(s.X)-1 && i > 0 && s.Y[i] == s.Y[i-1] {
			continue
		}
		got = append(got, at{int(math.Round(float64(s.X[i]) / grid)), int(math.Round(float64(s.Y[i]) * float64(tasks)))})
	}
	for _, step := range steps {
		want = append(want, at{step[0], step[1]})
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(at{})); diff != "" {
		t.Errorf("profile of %s (-json +page):\n%s", s.Name, diff)
	}
}

func checkParts(t *testing.T, path string, c *chart, models []report.Model, counts report.CountsBy) {
	t.Helper()
	if len(c.Parts) == 0 {
		t.Errorf("%s: a chart without parts", path)
	}
	for _, p := range c.Parts {
		for i, m := range models {
			if want := counts[m.ID][p.Name]; p.Name != "other" && float64(p.Values[i]) != float64(want) {
				t.Errorf("%s: %s of %s is %v, in report.json %d", path, p.Name, m.ID, p.Values[i], want)
			}
		}
	}
}

// TestFilters: what is chosen is what is compared, and the address says it.
func TestFilters(t *testing.T) {
	s := show(t, page.Options{}, published(t))
	text := s.get("leaderboard/?task=blotto&model=gpt-o1&model=gpt4o2")
	c := charts(t, text)["aup_intervals"]
	if len(c.Spots) != 2 || c.Spots[0].Name != "GPT-4o" || c.Spots[1].Name != "O1-preview" {
		t.Errorf("models %+v", c.Spots)
	}
	var r report.Report
	if err := json.Unmarshal([]byte(s.get("leaderboard/report.json?model=gpt4o2&model=gpt-o1&task=blotto")), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Models) != 2 || len(r.Tasks) != 1 || r.Tasks[0].ID != "blotto" {
		t.Errorf("report.json compares %v on %v", r.Models, r.Tasks)
	}
	// Links lead to the same choice.
	for _, want := range []string{
		`href="/leaderboard/corrected/?model=gpt-o1&amp;model=gpt4o2&amp;task=blotto"`,
		`href="/leaderboard/?flagged=without&amp;model=gpt-o1&amp;model=gpt4o2&amp;task=blotto"`,
		`href="/leaderboard/tables/best_scores.csv?model=gpt-o1&amp;model=gpt4o2&amp;task=blotto"`,
		`name="task" value="blotto" checked`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if text := s.get("leaderboard/?task=nothing"); !strings.Contains(text, "no task here is named &#34;nothing&#34;") || !strings.Contains(text, "There is nothing to compare") {
		t.Error("a task that is not there is passed over in silence")
	}

	// Without flagged runs.
	all, clean := &report.Report{}, &report.Report{}
	for path, to := range map[string]*report.Report{"leaderboard/report.json": all, "leaderboard/report.json?flagged=without": clean} {
		if err := json.Unmarshal([]byte(s.get(path)), to); err != nil {
			t.Fatal(err)
		}
	}
	flagged := len(all.Audit.Flagged)
	if flagged == 0 || len(clean.Rows) != len(all.Rows)-flagged || len(clean.Audit.Flagged) != 0 {
		t.Errorf("%d runs, %d flagged; without flagged %d, %d", len(all.Rows), flagged, len(clean.Rows), len(clean.Audit.Flagged))
	}
	for m, h := range all.Audit.Headline {
		if got, want := clean.Definitions[report.Corrected].Performance.Best.NeverCounts[m], h.CorrectedClean; clean.Definitions[report.MLGym].Performance.MaxTau == all.Definitions[report.MLGym].Performance.MaxTau && got != want {
			t.Errorf("%s without flagged runs has %v, the headline table says %v", m, got, want)
		}
	}
}

// TestVariants: scores on small data stand in no table with others, and the page says
// which were chosen.
func TestVariants(t *testing.T) {
	root := t.TempDir()
	for i, m := range []runstore.Manifest{
		{RunID: "a", Model: "model-a", Variant: "full"},
		{RunID: "b", Model: "model-b", Variant: "full"},
		{RunID: "c", Model: "model-a", Variant: "small"},
		{RunID: "d", Model: "model-a", Variant: "full", Mode: "published", Task: "blotto"},
	} {
		m.Seed = uint64(i + 1)
		m.Baseline = map[string]float64{"Score": 1}
		webtest.Begin(t, filepath.Join(root, m.RunID), m).Ordinary(1.1 + float64(i)/10)
	}
	s := show(t, page.Options{}, root)
	for query, want := range map[string]string{
		"": "a b d", "?variant=small": "c", "?variant=full&mode=hardened": "a b", "?mode=published": "d", "?variant=other": "",
	} {
		var r report.Report
		if err := json.Unmarshal([]byte(s.get("leaderboard/report.json"+query)), &r); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range r.Rows {
			got = append(got, filepath.Base(row.Path))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q compares the runs %v, want %s", query, got, want)
		}
	}
	text := s.get("leaderboard/")
	for _, want := range []string{"1 run on small data left out", `href="/leaderboard/?variant=small"`, "all but small"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(s.get("leaderboard/?variant=small"), "data left out") {
		t.Error("the page of small runs says that they are not there")
	}
}

// TestHostile: names that agents and their owners give are text, also in data blocks.
func TestHostile(t *testing.T) {
	root := t.TempDir()
	few(t, root)
	for i, m := range []runstore.Manifest{{Model: `<b onmouseover="window.pwned=1">model</b>`}, {AgentName: webtest.Hostile}} {
		m.Seed, m.Baseline = uint64(i+1), map[string]float64{"Score": 1}
		e := webtest.Begin(t, filepath.Join(root, fmt.Sprint("hostile", i)), m)
		e.Add(webtest.Step{Action: "cat > target.py <<'E'\n" + webtest.Hostile + "\nE", Thought: webtest.Hostile, Observation: webtest.Hostile, Score: 1.2})
		e.Finish(1.2)
	}
	torn := webtest.Begin(t, filepath.Join(root, "torn"), runstore.Manifest{Model: "model-a", Seed: 9})
	torn.Add(webtest.Step{Action: "ls", Observation: "baseline.py\n"})
	torn.Leave()
	f, err := os.OpenFile(filepath.Join(torn.Dir, runstore.TrajectoryName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":8,"type":"turn","at":"2026-03-01T09:`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := show(t, page.Options{}, root)
	text := s.get("leaderboard/")
	for _, bad := range []string{"<b onmouseover", "<img src=x", "<script>", `href="javascript:`} {
		if strings.Contains(text, bad) {
			at := strings.Index(text, bad)
			t.Errorf("the page holds %q: %q", bad, text[max(0, at-80):min(len(text), at+80)])
		}
	}
	if !strings.Contains(text, "onmouseover") && !strings.Contains(text, "pwned") {
		t.Error("the hostile name is nowhere; this test cannot fail any more")
	}
	for _, block := range block.FindAllStringSubmatch(text, -1) {
		if strings.ContainsAny(block[2], "<>&") {
			t.Errorf("the data of %s could end its element", block[1])
		}
	}
	if len(charts(t, text)) < 10 {
		t.Error("there are no charts")
	}
	// What could not be read is said.
	if !strings.Contains(text, "torn") || !strings.Contains(text, "used up to there") {
		t.Error("the page says nothing of records that end too soon")
	}
}

// TestWaiting: a page that is asked for too early says how far its numbers are, and
// earlier numbers are shown while newer ones are made.
func TestWaiting(t *testing.T) {
	root := t.TempDir()
	webtest.Begin(t, filepath.Join(root, "a"), runstore.Manifest{Model: "model-a", Seed: 1}).Ordinary(1.2)
	s := show(t, page.Options{}, root)
	b := s.pages.board
	b.computing.Lock() // nothing can be computed
	answer := s.ask("leaderboard/")
	if text := answer.Body.String(); !strings.Contains(text, "are being computed") || !strings.Contains(text, "waiting for its turn") || answer.Header().Get("Refresh") == "" {
		t.Errorf("while it waits the page says %s", text)
	}
	var p struct {
		Phase          string
		Running, Ready bool
	}
	if err := json.Unmarshal(s.ask("leaderboard/progress").Body.Bytes(), &p); err != nil || !p.Running || p.Ready || p.Phase == "" {
		t.Errorf("progress %+v, %v", p, err)
	}
	b.computing.Unlock()
	s.get("leaderboard/")
	if err := json.Unmarshal(s.ask("leaderboard/progress").Body.Bytes(), &p); err != nil || p.Running || !p.Ready {
		t.Errorf("progress of what is there: %+v, %v", p, err)
	}

	// As if the runs had changed since.
	b.mu.Lock()
	e := b.entries[""]
	e.result.generation--
	e.took = 0
	b.mu.Unlock()
	b.computing.Lock()
	text := s.ask("leaderboard/").Body.String()
	if !strings.Contains(text, "newer numbers are being computed") || !strings.Contains(text, "model-a") {
		t.Error("earlier numbers are not shown, or not said to be earlier ones")
	}
	st := b.ask(settings{})
	b.computing.Unlock()
	<-st.Job.done
	if text := s.ask("leaderboard/").Body.String(); strings.Contains(text, "newer") {
		t.Error("the newer numbers are still being waited for")
	}
}

// TestFaults: a fault in the computation ends the page's numbers, not the viewer.
func TestFaults(t *testing.T) {
	root := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s := show(t, page.Options{}, root)
	if text := s.get("leaderboard/"); !strings.Contains(text, "There is nothing to compare") {
		t.Error("an empty folder is not said to be one")
	} else if !strings.Contains(text, "without its charting library") {
		t.Error("it is not said why charts are pictures")
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pages.board.wait(t.Context(), settings{Mode: "hardened"}); err == nil || !strings.Contains(err.Error(), "no folder with runs can be read") {
		t.Errorf("error %v", err)
	}
	answer := s.ask("leaderboard/?mode=hardened")
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "no folder with runs can be read") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	for path, want := range map[string]int{
		"leaderboard/tables/none.csv": 404, "leaderboard/tables/best_scores.exe": 404, "leaderboard/figures/none.svg": 404,
		"leaderboard/figures/actions.exe": 404, "leaderboard/figures/corrected/actions.svg": 200, "leaderboard/tables/corrected/best_scores.md": 200,
		"leaderboard/figures/actions.png": 200, "leaderboard/figures/actions.pdf": 200, "leaderboard/tables/headline.csv": 200,
	} {
		if got := s.ask(path).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestBusy: nobody can have any number of tables computed at once.
func TestBusy(t *testing.T) {
	root := t.TempDir()
	webtest.Begin(t, filepath.Join(root, "a"), runstore.Manifest{Model: "model-a", Seed: 1}).Ordinary(1.2)
	s := show(t, page.Options{}, root)
	b := s.pages.board
	b.computing.Lock()
	busy := false
	// One may be with the worker already.
	for i := range maxWaiting + 2 {
		st := b.ask(settings{Tasks: []string{fmt.Sprint(i)}})
		if st.Job == nil && i < maxWaiting {
			t.Fatalf("the choice %d is not computed: %v", i, st.Err)
		}
		busy = busy || st.Job == nil && errors.Is(st.Err, errBusy)
	}
	if !busy {
		t.Error("any number is computed at the same time")
	}
	b.computing.Unlock()
	for i := range maxWaiting {
		if _, err := b.wait(t.Context(), settings{Tasks: []string{fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	b.ask(settings{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) > keptResults {
		t.Errorf("%d results are kept", len(b.entries))
	}
}

// few writes runs of two models on two tasks.
func few(t *testing.T, root string) {
	t.Helper()
	for i := range 8 {
		m := runstore.Manifest{
			Seed: uint64(i + 1), Task: []string{"battleOfSexes", "blotto"}[i%2], Model: []string{"model-a", "model-b"}[i/2%2],
			Baseline: map[string]float64{"Score": 1},
		}
		webtest.Begin(t, filepath.Join(root, fmt.Sprint(i)), m).Ordinary(1.1 + float64(i)/10)
	}
}

// TestStatic: pages in a folder link to files only.
func TestStatic(t *testing.T) {
	root := t.TempDir()
	few(t, root)
	s := show(t, page.Options{Static: true}, root)
	for path, back := range map[string]string{"leaderboard/": "../", "leaderboard/corrected/": "../../"} {
		text := s.ask(path).Body.String()
		links := regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(text, -1)
		if len(links) < 60 {
			t.Fatalf("%s has %d links", path, len(links))
		}
		for _, l := range links {
			to := html.UnescapeString(l[1])
			if strings.HasPrefix(to, "#") {
				continue
			}
			if !strings.HasPrefix(to, back) || strings.Contains(to, "?") || strings.Contains(to, "leaderboard/progress") {
				t.Errorf("%s links to %q", path, to)
			}
			inside, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(to, back), "index.html"), "#")
			if strings.HasPrefix(inside, "leaderboard/") {
				if answer := s.ask(inside); answer.Code != http.StatusOK || answer.Body.Len() == 0 {
					t.Errorf("%s links to %s, which answers %d", path, inside, answer.Code)
				}
			}
		}
		if strings.Contains(text, "<form") {
			t.Errorf("%s has a form", path)
		}
	}
}

func TestSettings(t *testing.T) {
	for query, want := range map[string]string{
		"":                                 "",
		"task=b&task=a&task=b&model=x":     "?model=x&task=a&task=b",
		"flagged=without&mode=m&variant=v": "?flagged=without&mode=m&variant=v",
		"flagged=other&junk=1&task=":       "",
		"task=%ff&model=" + strings.Repeat("x", 201): "",
		"model=" + url.QueryEscape(`a&b="<>`):        "?model=" + url.QueryEscape(`a&b="<>`),
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseSettings(q).query(); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
}

// TestThinned: what is left of a curve gives the same heights everywhere.
func TestThinned(t *testing.T) {
	nan := math.NaN()
	whole := series{X: numbers([]float64{0, 1, 2, 3, 4, 5, 6, 7}), Y: numbers([]float64{0, 0, 1, 1, nan, nan, 2, 2})}
	thin := thinned(whole)
	if len(thin.X) != 5 {
		t.Errorf("%v, %v", thin.X, thin.Y)
	}
	for x := 0.0; x <= 7; x += 0.25 {
		if got, want := thin.at(x, false), whole.at(x, false); got != want {
			t.Errorf("at %v %s, want %s", x, got, want)
		}
	}
}

func TestFront(t *testing.T) {
	spots := func(xy ...float64) (out []plot.Spot) {
		for i := 0; i < len(xy); i += 2 {
			out = append(out, plot.Spot{X: xy[i], Y: xy[i+1], Low: math.NaN(), High: math.NaN()})
		}
		return out
	}
	for name, tt := range map[string]struct {
		spots []plot.Spot
		want  []int
		log   bool
	}{
		"none":                {nil, nil, false},
		"one":                 {spots(1, 1), []int{0}, false},
		"dearer and worse":    {spots(1, 2, 2, 1), []int{0}, false},
		"dearer and better":   {spots(2, 2, 1, 1), []int{1, 0}, false},
		"same price":          {spots(1, 1, 1, 2, 1, 1.5), []int{1}, false},
		"same performance":    {spots(1, 1, 2, 1), []int{0}, false},
		"no price":            {spots(math.NaN(), 5, 1, 1), []int{1}, false},
		"more than ten times": {spots(0.1, 1, 2, 2, 1, 3), []int{0, 2}, true},
	} {
		c := scatterChart(plot.Scatter{Spots: tt.spots})
		if diff := cmp.Diff(tt.want, c.Front); diff != "" || c.LogX != tt.log {
			t.Errorf("%s (-want +got):\n%s, logarithmic %v", name, diff, c.LogX)
		}
	}
}

// TestEveryFigureHasAChart: what package report draws, the page draws as well, and
// says as a table.
func TestEveryFigureHasAChart(t *testing.T) {
	root := t.TempDir()
	few(t, root)
	study, err := report.Collect(t.Context(), []string{root}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Compute(study, report.Settings{Resamples: 20, Seed: 1}).EveryFigure() {
		c := chartOf(f)
		if c == nil {
			t.Errorf("%s: %T is not known", f.Name, f.Source)
			continue
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		for _, w := range c.words() {
			for _, row := range w.Rows {
				if len(row) != len(w.Header) {
					t.Errorf("%s: a row of %d cells below %d", f.Name, len(row), len(w.Header))
				}
			}
		}
		if err := f.Chart.Write(io.Discard, plot.SVG); err != nil {
			t.Error(err)
		}
	}
	if c := chartOf(&report.Figure{Source: bytes.NewBuffer(nil)}); c != nil {
		t.Errorf("something else is %+v", c)
	}
}

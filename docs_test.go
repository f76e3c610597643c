package mlgym_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"mlgym"
	"mlgym/internal/cli"
	"mlgym/internal/shim/shimtest"
	"mlgym/task"
)

// pages are the documents for people.
func pages(t *testing.T) []string {
	t.Helper()
	list := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}
	err := fs.WalkDir(os.DirFS("."), "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(name) == ".md" {
			list = append(list, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDocumentedCommands finds every command line of mlgym in the fenced sh
// blocks of the documents, and checks that the program knows its command and
// flags, and the task that it names. Blocks that begin with "# check: parses"
// hold nothing else.
func TestDocumentedCommands(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range shellBlocks(string(text)) {
			for _, line := range commandLines(t, page, block) {
				if path.Base(line[0]) != "mlgym" {
					if strings.HasPrefix(block, "# check: parses") {
						t.Errorf("%s: %q is no command of mlgym", page, line)
					}
					continue
				}
				checked++
				checkCommand(t, page, line[1:])
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands were found; the documents had more", checked)
	}
}

func checkCommand(t *testing.T, page string, args []string) {
	t.Helper()
	if problem := tryHelp(args); problem != "" {
		t.Errorf("%s: mlgym %s: %s", page, strings.Join(args, " "), problem)
	}
	if i := slices.Index(args, "--task"); i >= 0 && i+1 < len(args) {
		name := args[i+1]
		if _, err := os.Stat(filepath.Join(name, "task.yaml")); err == nil {
			return
		}
		catalog, err := mlgym.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Find(task.ID(name)); err != nil {
			t.Errorf("%s: mlgym %s: %v", page, strings.Join(args, " "), err)
		}
	}
}

// tryHelp asks for the help of a command line and returns what is wrong with it.
// Unknown flags are refused before help is given; for an unknown command it is
// the help of the command above, which lists others.
func tryHelp(args []string) string {
	var out, errs bytes.Buffer
	if code := cli.Main(append(slices.Clone(args), "--help"), strings.NewReader(""), &out, &errs); code != 0 {
		return errs.String()
	}
	if strings.Contains(out.String(), "Available Commands:") {
		return "no such command"
	}
	return ""
}

// TestCheckedCommandsCanFail shows that a wrong line is found.
func TestCheckedCommandsCanFail(t *testing.T) {
	for _, args := range [][]string{{"rum"}, {"task", "lst"}, {"run", "--taks", "blotto"}} {
		if tryHelp(args) == "" {
			t.Errorf("mlgym %s passes", strings.Join(args, " "))
		}
	}
	blocks := shellBlocks("a\n```sh\nmlgym run\n```\n```text\nmlgym no\n```\n```sh\nmlgym show X\n```\n")
	if want := []string{"mlgym run\n", "mlgym show X\n"}; !slices.Equal(blocks, want) {
		t.Errorf("blocks = %q, want %q", blocks, want)
	}
}

// shellBlocks returns the contents of the fenced blocks marked sh.
func shellBlocks(text string) []string {
	var blocks []string
	var block *strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case block == nil && strings.HasPrefix(line, "```sh\n"):
			block = &strings.Builder{}
		case block != nil && strings.HasPrefix(line, "```"):
			blocks = append(blocks, block.String())
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return blocks
}

// commandLines returns the simple commands of a shell text, as words.
func commandLines(t *testing.T, page, text string) [][]string {
	t.Helper()
	file, err := syntax.NewParser().Parse(strings.NewReader(text), page)
	if err != nil {
		t.Errorf("%s: a block is no shell text: %v", page, err)
		return nil
	}
	var lines [][]string
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		var words []string
		for _, word := range call.Args {
			words = append(words, word.Lit())
		}
		lines = append(lines, words)
		return true
	})
	return lines
}

// TestDocumentLinks checks that every relative link leads somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	checked := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := found[1]
			if strings.Contains(target, "://") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
			}
		}
	}
	if checked == 0 {
		t.Error("no link was found; this test cannot fail any more")
	}
}

// TestGuideTask runs the task of the guide: the baseline must get the score
// that its task.yaml says.
func TestGuideTask(t *testing.T) {
	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Skip("bubblewrap is not installed: apt-get install bubblewrap")
	}
	if err := shimtest.Build(); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	dir := filepath.Join(t.TempDir(), "run")
	code := cli.Main([]string{"run", "--task", "docs/guide/curve", "--agent", "baseline", "--json", "--quiet", "--out", dir}, strings.NewReader(""), &out, &errs)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var result struct {
		Baseline   map[string]float64 `json:"baseline"`
		Submission map[string]float64 `json:"submission"`
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	got, want := result.Submission["RMSE"], result.Baseline["RMSE"]
	if want == 0 || got < want-1e-4 || got > want+1e-4 {
		t.Errorf("the baseline scores %v, its task.yaml says %v; the result is %s", got, want, out.String())
	}
}

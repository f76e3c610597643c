package tool_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"mlgym/tool"
)

func TestSearchDir(t *testing.T) {
	files := map[string]string{
		"a.py": "alpha\nbeta\nbeta beta\n", "sub/b.py": "beta\n", "sub/deep/c.py": "gamma\n", "sp ace.txt": "delta\n",
		".hidden": "beta\n", ".git/x": "beta\n", "bin.dat": "beta\x00\n", "sub/.h/x": "beta\n", "z.txt": "beta",
	}
	for i := range 105 {
		files[fmt.Sprintf("many/%03d.txt", i)] = "needle\n"
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"matches", []step{{"search_dir beta", "Found 4 matches for \"beta\" in $DIR:\n$DIR/a.py (2 matches)\n$DIR/sub/b.py (1 matches)\n$DIR/z.txt (1 matches)\nEnd of matches for \"beta\" in $DIR\n", 0}}},
		{"in a folder", []step{{"search_dir beta sub", "Found 1 matches for \"beta\" in $DIR/sub:\n$DIR/sub/b.py (1 matches)\nEnd of matches for \"beta\" in $DIR/sub\n", 0}}},
		{"in a hidden folder that is named", []step{{"search_dir beta .git", "Found 1 matches for \"beta\" in $DIR/.git:\n$DIR/.git/x (1 matches)\nEnd of matches for \"beta\" in $DIR/.git\n", 0}}},
		{"name with a space", []step{{"search_dir delta", "Found 1 matches for \"delta\" in $DIR:\n$DIR/sp ace.txt (1 matches)\nEnd of matches for \"delta\" in $DIR\n", 0}}},
		{"expression", []step{{"search_dir ^b.*a$ sub", "Found 1 matches for \"^b.*a$\" in $DIR/sub:\n$DIR/sub/b.py (1 matches)\nEnd of matches for \"^b.*a$\" in $DIR/sub\n", 0}}},
		{"none", []step{{"search_dir qqqq", "No matches found for \"qqqq\" in $DIR\n", 0}}},
		{"no folder", []step{{"search_dir beta nodir", "Directory nodir not found\n", 1}}},
		{"a file as folder", []step{{"search_dir beta a.py", "Directory a.py not found\n", 1}}},
		{"no argument", []step{{"search_dir", "Usage: search_dir <search_term> [<dir>]\n", 2}}},
		{"empty term", []step{{"search_dir ", "Usage: search_dir <search_term> [<dir>]\n", 2}}},
		{"three arguments", []step{{"search_dir a b c", "Usage: search_dir <search_term> [<dir>]\nError: at most a search term and a <dir> can be given; a term with a space in it needs quotes\n", 2}}},
		{"too many files", []step{{"search_dir needle", "More than 100 files matched for \"needle\" in $DIR (105 files). Please narrow your search.\n", 1}}},
		{"typed", []step{{`search_dir {"search_term":"beta","path":"$DIR/sub"}`, "Found 1 matches for \"beta\" in $DIR/sub:\n$DIR/sub/b.py (1 matches)\nEnd of matches for \"beta\" in $DIR/sub\n", 0}}},
		{"no expression", []step{{"search_dir bet[ sub", "Note: \"bet[\" is not a regular expression that can be searched for (unmatched [), so it was searched for literally.\nNo matches found for \"bet[\" in $DIR/sub\n", 0}}},
	} {
		t.Run(test.name, func(t *testing.T) { newWorkspace(t, tool.Options{}, files).check(test.steps) })
	}
}

func TestSearchFile(t *testing.T) {
	files := map[string]string{
		"f.txt": "l1\nfoo\n\nfoo(x)\r\nbar", "g.txt": "foo\n", "bin.dat": "foo\x00", "sub/": "",
		"many.txt": strings.Repeat("match\n", 2500), "hundred.txt": strings.Repeat("match\n", 100),
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"open file", []step{{"search_file foo", "Found 2 matches for \"foo\" in $DIR/f.txt:\nLine 2:foo\nLine 4:foo(x)\nEnd of matches for \"foo\" in $DIR/f.txt\n", 0}}},
		{"last line without end", []step{{"search_file bar", "Found 1 matches for \"bar\" in $DIR/f.txt:\nLine 5:bar\nEnd of matches for \"bar\" in $DIR/f.txt\n", 0}}},
		{"end of a line with a carriage return", []step{{"search_file )$", "Found 1 matches for \")$\" in $DIR/f.txt:\nLine 4:foo(x)\nEnd of matches for \")$\" in $DIR/f.txt\n", 0}}},
		{"line end with a carriage return shown", []step{{"search_file (x)", "Found 1 matches for \"(x)\" in $DIR/f.txt:\nLine 4:foo(x)\nEnd of matches for \"(x)\" in $DIR/f.txt\n", 0}}},
		{"blank lines", []step{{"search_file ^$", "Found 1 matches for \"^$\" in $DIR/f.txt:\nLine 3:\nEnd of matches for \"^$\" in $DIR/f.txt\n", 0}}},
		{"another file", []step{{"search_file foo g.txt", "Found 1 matches for \"foo\" in $DIR/g.txt:\nLine 1:foo\nEnd of matches for \"foo\" in $DIR/g.txt\n", 0}}},
		{"none", []step{{"search_file qqqq", "No matches found for \"qqqq\" in $DIR/f.txt\n", 0}}},
		{"missing file", []step{{"search_file x nofile.txt", "Usage: search_file <search_term> [<file>]\nError: File name nofile.txt not found. Please give the name of a file that exists.\n", 2}}},
		{"folder", []step{{"search_file x sub", "Error: sub is a directory. Only files can be opened; use cd or ls to look around.\n", 1}}},
		{"binary", []step{{"search_file foo bin.dat", "Error: $DIR/bin.dat is a binary file and was not searched.\n", 1}}},
		{"no argument", []step{{"search_file", "Usage: search_file <search_term> [<file>]\n", 2}}},
		{"a hundred lines", []step{{"search_file match hundred.txt", hundred("hundred.txt", 100), 0}}},
		{"more than a hundred lines", []step{{"search_file match many.txt", hundred("many.txt", 2500), 0}}},
		{"typed", []step{{`search_file {"search_term":"foo","path":"g.txt"}`, "Found 1 matches for \"foo\" in $DIR/g.txt:\nLine 1:foo\nEnd of matches for \"foo\" in $DIR/g.txt\n", 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{}, files)
			w.shell("open f.txt")
			w.check(test.steps)
		})
	}
}

// hundred is the answer to a search with n matches, of which at most a hundred
// are shown.
func hundred(name string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Found %d matches for \"match\" in $DIR/%s:\n", n, name)
	for i := 1; i <= 100; i++ {
		fmt.Fprintf(&b, "Line %d:match\n", i)
	}
	if n > 100 {
		fmt.Fprintf(&b, "(%d more matching lines not shown)\nPlease narrow your search.\n", n-100)
	}
	fmt.Fprintf(&b, "End of matches for \"match\" in $DIR/%s\n", name)
	return b.String()
}

func TestSearchTerms(t *testing.T) {
	for _, test := range []struct {
		term, line string
		want       bool
	}{
		{"a.c", "abc", true},
		{`a\.c`, "abc", false},
		{"f(x)", "f(x)", true},
		{"a+b", "a+b", true},
		{"a+b", "aab", false},
		{`a\+b`, "aab", true},
		{`ab\?c`, "ac", true},
		{"a?", "a?", true},
		{"a?", "a", false},
		{"x{2}", "x{2}", true},
		{`x\{2\}`, "xx", true},
		{`^x\{2,\}$`, "xxx", true},
		{`a\|b`, "b", true},
		{"a|b", "b", false},
		{"a|b", "a|b", true},
		{`\(ab\)*c`, "ababc", true},
		{"*x", "*x", true},
		{`\(*x\)`, "*x", true},
		{"^*x", "*x", true},
		{"a^b", "a^b", true},
		{"a$b", "a$b", true},
		{"$x", "$x", true},
		{"x$", "ax", true},
		{"x$", "xa", false},
		{"[ab]c", "bc", true},
		{"[^ab]c", "bc", false},
		{`[\]`, `\`, true},
		{"[]]", "]", true},
		{"[^]]", "a", true},
		{"[^]]", "]", false},
		{"[[:digit:]]x", "7x", true},
		{"[a-c]", "b", true},
		{"[[]", "[", true},
		{`\<foo\>`, "a foo b", true},
		{`\<foo\>`, "afoo", false},
		{`\w\w`, "ab", true},
		{`\s`, "a b", true},
		{`\bx`, "x", true},
		{`\[x\]`, "[x]", true},
		{"ü.", "aüb", true},
		{"[äü]b", "üb", true},
		{"x[", "x[", true},
		{`\(x`, `\(x`, true},
		{`x\1`, `x\1`, true},
		{`x\`, `x\`, true},
		{`\{x`, `\{x`, true},
		{`a\{9999\}`, `a\{9999\}`, true},
		{"-x", "-x", true},
		{"A", "a", false},
		{"[z-a]", "[z-a]", true},
		{`a\/b`, "a/b", true},
		{"\xff", "a\xff", true},
	} {
		t.Run(test.term+" in "+test.line, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{}, map[string]string{"f": test.line + "\n"})
			got := w.run.Run(t.Context(), tool.Invocation{Name: "search_file", Argv: []string{test.term, "f"}, Dir: w.dir})
			if found := strings.Contains(got.Output, "Found 1 matches"); found != test.want || got.ExitCode != 0 {
				t.Errorf("%q in %q: found %v, want %v:\n%s", test.term, test.line, found, test.want, got.Output)
			}
		})
	}
}

func TestSearchRefusesTerms(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": "x\n"})
	w.check([]step{
		{"search_dir " + strings.Repeat("x", 5000), "Error: the search term is longer than 4096 bytes\n", 1},
		{`search_file {"search_term":"a\nb","path":"f"}`, "Error: the search term may not contain a line end; lines are searched one by one\n", 1},
	})
}

// TestSearchLongLines searches files with lines longer than any buffer.
func TestSearchLongLines(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	w := newWorkspace(t, tool.Options{}, map[string]string{
		"f": "a\nneedle" + long + "\nb needle\n" + strings.Repeat("y", 300<<10) + "needle" + strings.Repeat("z", 600) + "\n" + long + "needle at the end\nneedle",
	})
	for _, term := range []string{"needle", "needl[e]"} {
		got := w.shell("search_file " + term + " f")
		var lines []string
		for line := range strings.Lines(got.Output) {
			if number, _, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(line, "Line") {
				lines = append(lines, number)
				if len(line) > 600 || !strings.Contains(line, "needle") {
					t.Errorf("%s: a long line is shown by %d bytes: %.100q", term, len(line), line)
				}
			}
		}
		if want := "Line 2 Line 3 Line 4 Line 6"; strings.Join(lines, " ") != want {
			t.Errorf("%s is found in %v, want %s", term, lines, want)
		}
	}
}

func TestSearchIsStopped(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": "x\n", "sub/g": "x\n"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct{ call, want string }{
		{"search_dir x", "Note: the search was stopped before its end; give a smaller directory.\nNo matches found for \"x\" in $DIR\n"},
		{"find_file f", "Note: the search was stopped before its end; give a smaller directory.\nNo matches found for \"f\" in $DIR\n"},
		{"search_file x f", "Error: the search of $DIR/f was stopped before its end; 0 lines had matched.\n"},
	} {
		words := strings.Fields(test.call)
		got := w.run.Run(ctx, tool.Invocation{Name: words[0], Argv: words[1:], Dir: w.dir})
		if output := strings.ReplaceAll(got.Output, w.dir, "$DIR"); output != test.want || got.ExitCode != 1 {
			t.Errorf("%s, stopped, is answered with code %d: %s\nwant %s", test.call, got.ExitCode, output, test.want)
		}
	}
}

func TestFindFile(t *testing.T) {
	files := map[string]string{
		"b.py": "", "a.py": "", "sub/a.py": "", "sub/deep/c.py": "", ".hid/a.py": "", "odd[1].txt": "", "sp ace.txt": "", "dir.py/x": "", "line\nend.x": "",
	}
	for i := range 150 {
		files[fmt.Sprintf("many/%03d.dat", i)] = ""
	}
	var many strings.Builder
	many.WriteString("Found 150 matches for \"*.dat\" in $DIR:\n")
	for i := range 100 {
		fmt.Fprintf(&many, "$DIR/many/%03d.dat\n", i)
	}
	many.WriteString("(50 more files not shown)\n")
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"name", []step{{"find_file a.py", "Found 3 matches for \"a.py\" in $DIR:\n$DIR/.hid/a.py\n$DIR/a.py\n$DIR/sub/a.py\n", 0}}},
		{"pattern", []step{{"find_file *.py", "Found 5 matches for \"*.py\" in $DIR:\n$DIR/.hid/a.py\n$DIR/a.py\n$DIR/b.py\n$DIR/sub/a.py\n$DIR/sub/deep/c.py\n", 0}}},
		{"not this letter", []step{{"find_file [!a].py", "Found 2 matches for \"[!a].py\" in $DIR:\n$DIR/b.py\n$DIR/sub/deep/c.py\n", 0}}},
		{"in a folder", []step{{"find_file *.py sub", "Found 2 matches for \"*.py\" in $DIR/sub:\n$DIR/sub/a.py\n$DIR/sub/deep/c.py\n", 0}}},
		{"with folders", []step{{"find_file ./deep/*.py", "Found 1 matches for \"./deep/*.py\" in $DIR:\n$DIR/sub/deep/c.py\n", 0}}},
		{"no pattern", []step{{"find_file odd[", "No matches found for \"odd[\" in $DIR\n", 0}}},
		{"name with a space", []step{{"find_file|sp ace.txt", "Found 1 matches for \"sp ace.txt\" in $DIR:\n$DIR/sp ace.txt\n", 0}}},
		{"name with a line end", []step{{"find_file *.x", "Found 1 matches for \"*.x\" in $DIR:\n\"$DIR/line\\nend.x\"\n", 0}}},
		{"many", []step{{"find_file *.dat", many.String(), 0}}},
		{"none", []step{{"find_file qqqq", "No matches found for \"qqqq\" in $DIR\n", 0}}},
		{"no folder", []step{{"find_file a nodir", "Directory nodir not found\n", 1}}},
		{"no argument", []step{{"find_file", "Usage: find_file <file_name> [<dir>]\n", 2}}},
		{"unquoted pattern", []step{{"find_file a.py b.py c.py", "Usage: find_file <file_name> [<dir>]\nError: at most a file name and a directory can be given; a name with * in it needs quotes: find_file \"*.py\"\n", 2}}},
		{"typed", []step{{`find_file {"file_name":"c.py"}`, "Found 1 matches for \"c.py\" in $DIR:\n$DIR/sub/deep/c.py\n", 0}}},
	} {
		t.Run(test.name, func(t *testing.T) { newWorkspace(t, tool.Options{}, files).check(test.steps) })
	}
}

func TestFindFileLinks(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"data/x.csv": "a\n"})
	for link, target := range map[string]string{"x.csv": "data/x.csv", "loop": ".", "y.csv": "gone"} {
		if err := os.Symlink(target, w.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	w.check([]step{
		{"find_file *.csv", "Found 2 matches for \"*.csv\" in $DIR:\n$DIR/data/x.csv\n$DIR/x.csv\n", 0},
		{"search_dir a", "Found 1 matches for \"a\" in $DIR:\n$DIR/data/x.csv (1 matches)\nEnd of matches for \"a\" in $DIR\n", 0},
		{"find_file x.csv loop", "Found 2 matches for \"x.csv\" in $DIR:\n$DIR/data/x.csv\n$DIR/x.csv\n", 0},
	})
}

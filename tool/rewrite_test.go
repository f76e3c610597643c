package tool_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/tool"
)

func TestRewrite(t *testing.T) {
	for _, test := range []struct{ name, action, want string }{
		{"edit", "edit 1:2\na\nend_of_edit", "edit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"insert", "insert 4\na\nend_of_insert\n", "insert 4 <<'end_of_insert'\na\nend_of_insert\n"},
		{"no text", "edit 1:2\nend_of_edit", "edit 1:2 <<'end_of_edit'\nend_of_edit"},
		{"blanks after the terminator", "edit 1:2 \t\na\nend_of_edit \t\nls", "edit 1:2 <<'end_of_edit' \t\na\nend_of_edit\nls"},
		{"indented terminator is text", "edit 1:2\n  end_of_edit\nend_of_edit", "edit 1:2 <<'end_of_edit'\n  end_of_edit\nend_of_edit"},
		{"after a line", "cd src\nopen f\nedit 1:2\na\nend_of_edit", "cd src\nopen f\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after &&", "cd src && edit 1:2\na\nend_of_edit", "cd src && edit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after ;", "open f; edit 1:2\na\nend_of_edit", "open f; edit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after a line that goes on", "cd src && \\\nedit 1:2\na\nend_of_edit", "cd src && \\\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"before &&", "edit 1:2 && python x.py\na\nend_of_edit\n", "edit 1:2 <<'end_of_edit' && python x.py\na\nend_of_edit\n"},
		{"two on one line", "edit 1:2; insert 3\na\nend_of_edit\nb\nend_of_insert", "edit 1:2 <<'end_of_edit'; insert 3 <<'end_of_insert'\na\nend_of_edit\nb\nend_of_insert"},
		{"two after another", "edit 1:2\na\nend_of_edit\nedit 3:4\nb\nend_of_edit", "edit 1:2 <<'end_of_edit'\na\nend_of_edit\nedit 3:4 <<'end_of_edit'\nb\nend_of_edit"},
		{"in a compound command", "if true; then edit 1:2\na\nend_of_edit\nfi", "if true; then edit 1:2 <<'end_of_edit'\na\nend_of_edit\nfi"},
		{"in a subshell", "(edit 1:2)\na\nend_of_edit", "(edit 1:2 <<'end_of_edit')\na\nend_of_edit"},
		{"in a pattern of case", "case x in x) edit 1:2\na\nend_of_edit\n;; esac", "case x in x) edit 1:2 <<'end_of_edit'\na\nend_of_edit\n;; esac"},
		{"text full of shell", "edit 1:2\necho \"$x\" 'y `z` \\\nif (\ncat <<EOF\nend_of_edit\nls", "edit 1:2 <<'end_of_edit'\necho \"$x\" 'y `z` \\\nif (\ncat <<EOF\nend_of_edit\nls"},
		{"carriage returns", "edit 1:2\r\na\r\nend_of_edit\r\n", "edit 1:2 <<'end_of_edit'\na\r\nend_of_edit\n"},
		{"comment after it", "edit 1:2 # here\na\nend_of_edit", "edit 1:2 <<'end_of_edit' # here\na\nend_of_edit"},
		{"substitution as argument", "insert $(wc -l < f)\na\nend_of_insert", "insert $(wc -l < f) <<'end_of_insert'\na\nend_of_insert"},
		{"output redirected", "edit 1:2 > log 2>&1\na\nend_of_edit", "edit 1:2 > log 2>&1 <<'end_of_edit'\na\nend_of_edit"},
		{"wrong argument with a text", "edit three\na\nend_of_edit", "edit three <<'end_of_edit'\na\nend_of_edit"},
		{"after a here-document", "cat > f <<'EOF'\nedit 1:2\nEOF\nedit 1:2\na\nend_of_edit", "cat > f <<'EOF'\nedit 1:2\nEOF\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"with a here-document on its line", "cat <<A && edit 1:2\nx\nA\na\nend_of_edit", "cat <<A && edit 1:2 <<'end_of_edit'\nx\nA\na\nend_of_edit"},
		{"after a shift", "x=$((1<<2)); (( x<<=1 ))\nedit 1:2\na\nend_of_edit", "x=$((1<<2)); (( x<<=1 ))\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after a here-string", "cat <<< EOF\nedit 1:2\na\nend_of_edit", "cat <<< EOF\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after quotes", "echo \"it's $(echo \"a\" ')') ${x:-\"'\"}\" 'q\"' $'\\''\nedit 1:2\na\nend_of_edit", "echo \"it's $(echo \"a\" ')') ${x:-\"'\"}\" 'q\"' $'\\''\nedit 1:2 <<'end_of_edit'\na\nend_of_edit"},
		{"after a word with # in it", "echo \"a\"#\"b\nc\" x#'\nedit 1:2\nend_of_edit'\nedit 1:2\nend_of_edit", "echo \"a\"#\"b\nc\" x#'\nedit 1:2\nend_of_edit'\nedit 1:2 <<'end_of_edit'\nend_of_edit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := tool.Rewrite(test.action)
			if err != nil || got != test.want {
				t.Errorf("Rewrite(%q) = %q, %v\nwant %q", test.action, got, err, test.want)
			}
			again, err := tool.Rewrite(got)
			if err != nil || again != got {
				t.Errorf("Rewrite of its own outcome %q = %q, %v", got, again, err)
			}
		})
	}
}

func TestRewriteLeavesAlone(t *testing.T) {
	for _, test := range []struct{ name, action string }{
		{"empty", ""},
		{"other commands", "ls -la && python train.py"},
		{"the word elsewhere", "echo edit 1:2\ngit commit -m 'edit 1:2'\n./edit 1:2"},
		{"a substitution before the word", "echo $(date) edit 1:2\necho `date` edit 1:2"},
		{"in a here-document", "cat > f <<EOF\nedit 1:2\na\nend_of_edit\nEOF"},
		{"in a quoted here-document", "cat > f <<'E F'\nedit 1:2\nE F"},
		{"in a here-document with tabs", "cat > f <<-\\X\nedit 1:2\n\tX\nls"},
		{"in one that joins lines", "cat > f <<X\na\\\nX\nedit 1:2\nX"},
		{"in a here-document without end", "cat > f <<EOF\nedit 1:2"},
		{"in single quotes", "python -c '\nedit 1:2\n'"},
		{"in double quotes", "python -c \"\nedit 1:2\n\""},
		{"in a quote without end", "echo 'x\nedit 1:2"},
		{"in a comment", "# edit 1:2\nls # edit 1:2"},
		{"with its own here-document", "edit 1:2 <<'X'\na\nX"},
		{"with a file", "edit 1:2 < new.txt"},
		{"with a here-string", "edit 1:2 <<< 'x'"},
		{"in a pipe", "cat new.txt | edit 1:2"},
		{"usage, no argument", "edit"},
		{"usage, one number", "edit 3"},
		{"usage, words", "edit a:b\ninsert x"},
		{"a function of that name", "edit() { echo; }\nedit () { echo; }\nfunction edit { echo; }"},
		{"a pattern of case", "case $1 in\nedit) echo;;\ninsert) echo;;\nesac"},
		{"an array", "tools=(edit insert)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := tool.Rewrite(test.action)
			if err != nil || got != test.action {
				t.Errorf("Rewrite(%q) = %q, %v; want it unchanged", test.action, got, err)
			}
		})
	}
}

func TestRewriteMalformed(t *testing.T) {
	for _, test := range []struct {
		name, action, tool string
		line               int
	}{
		{"edit", "edit 1:2\na", "edit", 1},
		{"edit alone", "edit 1:2", "edit", 1},
		{"insert", "ls\ninsert 3\na\nend_of_edit", "insert", 2},
		{"indented terminator", "edit 1:2\na\n  end_of_edit", "edit", 1},
		{"terminator with more on its line", "edit 1:2\na\nend_of_edit && ls", "edit", 1},
		{"second of two", "edit 1:2\na\nend_of_edit\nedit 3:4\nb", "edit", 4},
		{"redirected output", "edit 1:2 > log\na", "edit", 1},
		{"quoted lines", "edit \"1:2\"\na", "edit", 1},
		{"computed lines", "edit $a:$b\na", "edit", 1},
		{"in a subshell", "(edit 1:2)\na", "edit", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := tool.Rewrite(test.action)
			var malformed *tool.MalformedError
			if !errors.As(err, &malformed) || got != "" {
				t.Fatalf("Rewrite(%q) = %q, %v; want a MalformedError", test.action, got, err)
			}
			if malformed.Tool != test.tool || malformed.Line != test.line {
				t.Errorf("Rewrite(%q): got %s in line %d, want %s in line %d", test.action, malformed.Tool, malformed.Line, test.tool, test.line)
			}
			if text := err.Error(); !strings.Contains(text, "end_of_"+test.tool) {
				t.Errorf("the message %q does not name the terminator", text)
			}
		})
	}
}

// TestRewriteInBash checks the outcome with the shell that is to run it: each
// text must reach its command as it was written, and nothing else may run.
func TestRewriteInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here: " + err.Error())
	}
	const tools = `
edit() { printf 'edit %s[%s]\n' "$*" "$(cat; echo .)"; }
insert() { printf 'insert %s[%s]\n' "$*" "$(cat; echo .)"; }
`
	for _, test := range []struct{ name, action, want string }{
		{"literal text", "edit 1:2\n$HOME `ls` \\ 'x \"y\nEOF\ndone\nend_of_edit", "edit 1:2[$HOME `ls` \\ 'x \"y\nEOF\ndone\n.]\n"},
		{"no text", "edit 1:2\nend_of_edit", "edit 1:2[.]\n"},
		{"many", "echo a && edit 1:2\nx\nend_of_edit  \necho b; insert 3\ny\nend_of_insert\necho c", "a\nedit 1:2[x\n.]\nb\ninsert 3[y\n.]\nc\n"},
		{"two on a line", "edit 1:2 && insert 3 && echo z\nx\nend_of_edit\ny\nend_of_insert", "edit 1:2[x\n.]\ninsert 3[y\n.]\nz\n"},
		{"in a loop", "for i in 1 2; do edit $i:$i\nx\nend_of_edit\ndone", "edit 1:1[x\n.]\nedit 2:2[x\n.]\n"},
		{"in a subshell", "(edit 1:2)\nx\nend_of_edit\necho b", "edit 1:2[x\n.]\nb\n"},
		{"in a substitution", "v=$(edit 1:2\nx\nend_of_edit\n)\necho \"<$v>\"", "<edit 1:2[x\n.]>\n"},
		{"with another here-document", "cat <<EOF && edit 1:2\nedit 5:6\nEOF\nx\nend_of_edit", "edit 5:6\nedit 1:2[x\n.]\n"},
		{"to a file", "edit 1:2 > log\nx\nend_of_edit\ncat log", "edit 1:2[x\n.]\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := tool.Rewrite(test.action)
			if err != nil {
				t.Fatal(err)
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(tools+text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), bash, script)
			cmd.Dir = filepath.Dir(script)
			got, err := cmd.CombinedOutput()
			if err != nil || string(got) != test.want {
				t.Errorf("action %q\nrewritten %q\ngot  %q, %v\nwant %q", test.action, text, got, err, test.want)
			}
		})
	}
}

func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		"edit 1:2\na\nend_of_edit", "ls && insert 3 # x\n\nend_of_insert \r\nls", "cat <<-'E' <<\\F\nedit 1:2\n\tE\nF\n",
		"echo \"$(edit 1:2\nx\nend_of_edit\n)\" `insert 1`", "$(((edit ${x#'}\"", "edit\\\n1:2", "(((edit)))", "edit $'\\", "insert 1:2<<<x >&|",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, action string) {
		got, err := tool.Rewrite(action)
		if err != nil {
			if got != "" {
				t.Errorf("Rewrite(%q) = %q beside the error %v", action, got, err)
			}
			return
		}
		if !strings.Contains(action, "end_of_") && got != action {
			t.Errorf("Rewrite(%q) = %q, though it has no terminator", action, got)
		}
		again, err := tool.Rewrite(got)
		if err != nil || again != got {
			t.Errorf("Rewrite of its own outcome %q = %q, %v (from %q)", got, again, err, action)
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	text := strings.Repeat("    x = f(\"a\", 'b')  # $HOME\n", 200)
	for _, bench := range []struct{ name, action string }{
		{"none", "cd src && python train.py --lr 0.1\n" + text},
		{"edit", "edit 1:20\n" + text + "end_of_edit"},
		{"heredoc", "cat > edit.py <<'EOF'\n" + text + "EOF"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tool.Rewrite(bench.action); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

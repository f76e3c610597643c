package markup_test

import (
	"html/template"
	"strings"
	"testing"

	"mlgym/web/markup"
)

func TestCode(t *testing.T) {
	const python = `<span class="tok-keyword">return</span> <span class="tok-number">1</span> <span class="tok-comment"># &lt;b&gt;</span>`
	tests := map[string]struct {
		text, name string
		want       template.HTML
	}{
		"by file":            {"return 1 # <b>", "/home/agent/workspace/train.py", python},
		"by language":        {"return 1 # <b>", "Python", python},
		"by ending":          {"return 1 # <b>", "py", python},
		"by name of file":    {"FROM a", "b/Dockerfile", `<span class="tok-keyword">FROM</span> <span class="tok-string">a</span>`},
		"by longest ending":  {"return 1 # <b>", "a.tar.py", python},
		"a notebook":         {"1", "a.ipynb", `<span class="tok-number">1</span>`},
		"unknown":            {"return 1 < 2", "a.nonsense", "return 1 &lt; 2"},
		"not told":           {"return 1 < 2", "", "return 1 &lt; 2"},
		"an ending of none":  {"return 1 < 2", "a.", "return 1 &lt; 2"},
		"returns":            {"a\r\nb\rc", "text", "a\nb␍c"},
		"a name of no bound": {"a", strings.Repeat("a.", 100000), "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Code(tt.text, tt.name)
			if got != tt.want {
				t.Errorf("Code(%q, %q)\n got %q\nwant %q", tt.text, clip(tt.name), got, tt.want)
			}
			parse(t, got, "span")
		})
	}
}

func TestCodeTooLong(t *testing.T) {
	text := strings.Repeat("return 1\n", 20000)
	if got := markup.Code(text, "a.py"); string(got) != text {
		t.Errorf("%d bytes were highlighted: %q", len(text), clip(string(got)))
	}
}

func TestShell(t *testing.T) {
	const (
		ret  = `<span class="tok-keyword">return</span>`
		from = `<span class="tok-keyword">`
	)
	tests := map[string]struct{ action, has, hasNot string }{
		"command":           {"for i in 1 2; do echo $i; done", from + "for</span>", ""},
		"file":              {"cat > a.py <<'EOF'\nreturn\nEOF\nreturn", ret + "\n", ""},
		"file after":        {"cat <<EOF >> 'b/a b.py'\nreturn\nEOF\n", ret, ""},
		"tee":               {"tee -a a.py <<EOF\nreturn\nEOF\n", ret, ""},
		"program":           {"python3 - <<EOF\nreturn\nEOF\n", ret, ""},
		"unknown file":      {"cat > a.nonsense <<EOF\nfor\nEOF\n", "\nfor\n", from + "for"},
		"tabs":              {"cat > a.py <<-EOF\n\treturn\n\tEOF\necho", ret, ""},
		"edit":              {"edit 3:5\nfor\nend_of_edit", "\nfor\n", from + "for"},
		"no here-document":  {"cat <<< EOF\nfor i in 1; do echo; done\n", from + "for</span>", ""},
		"end never comes":   {"cat > a.py <<EOF\nfor i in 1; do echo; done\n", from + "for</span>", ""},
		"commands go on":    {"cat > a.txt <<EOF\nfor\nEOF\nfor i in 1; do echo; done\n", from + "for</span>", ""},
		"numbers of a file": {"cat > a.py 2>&1 <<EOF\nreturn\nEOF\n", ret, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Shell(tt.action)
			if !strings.Contains(string(got), tt.has) || tt.hasNot != "" && strings.Contains(string(got), tt.hasNot) {
				t.Errorf("Shell(%q) = %q, want %q in it and %q not", tt.action, got, tt.has, tt.hasNot)
			}
			if text := parse(t, got, "span"); text != tt.action {
				t.Errorf("Shell(%q) shows %q", tt.action, text)
			}
		})
	}
}

func TestEditBody(t *testing.T) {
	type found struct {
		kind        string
		first, last int
		body        string
		ok          bool
	}
	tests := map[string]struct {
		action string
		want   found
	}{
		"edit":                  {"edit 3:5\n    x = 1\n\ny\nend_of_edit", found{"edit", 3, 5, "    x = 1\n\ny\n", true}},
		"edit, deleting":        {"edit 3:5\nend_of_edit\n", found{"edit", 3, 5, "", true}},
		"here-document":         {"edit 3:5 <<end_of_edit\nx\nend_of_edit", found{"edit", 3, 5, "x\n", true}},
		"quoted":                {"edit 3:5 << 'end_of_edit'\nx\nend_of_edit", found{"edit", 3, 5, "x\n", true}},
		"insert":                {"insert 0\nimport x\n\nend_of_insert", found{"insert", 1, 0, "import x\n\n", true}},
		"insert further down":   {"insert 7\nx\nend_of_insert", found{"insert", 8, 7, "x\n", true}},
		"among commands":        {"open a.py && edit 1:1\nx\nend_of_edit\npython a.py", found{"edit", 1, 1, "x\n", true}},
		"after another":         {"ls\n\n edit 1:1\nx\nend_of_edit \r\n", found{"edit", 1, 1, "x\n", true}},
		"the first of two":      {"edit 1:1\nx\nend_of_edit\nedit 2:2\ny\nend_of_edit", found{"edit", 1, 1, "x\n", true}},
		"indented end":          {"edit 1:1\n  end_of_edit\nend_of_edit", found{"edit", 1, 1, "  end_of_edit\n", true}},
		"other end":             {"edit 1:1\nend_of_insert\nend_of_edit", found{"edit", 1, 1, "end_of_insert\n", true}},
		"in a here-document":    {"cat > a <<EOF\nedit 1:1\nx\nend_of_edit\nEOF", found{}},
		"no end":                {"edit 1:1\nx", found{}},
		"no lines":              {"edit\nx\nend_of_edit", found{}},
		"one line number":       {"edit 3\nx\nend_of_edit", found{}},
		"insert of two":         {"insert 3:4\nx\nend_of_insert", found{}},
		"beyond numbers":        {"edit 1:99999999999999999999\nx\nend_of_edit", found{}},
		"another word":          {"reedit 1:1\nx\nend_of_edit", found{}},
		"after one with no end": {"edit 1:1\nx\ninsert 2\ny\nend_of_insert", found{"insert", 3, 2, "y\n", true}},
		"no command":            {"ls", found{}},
		"empty":                 {"", found{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got found
			got.kind, got.first, got.last, got.body, got.ok = markup.EditBody(tt.action)
			if got != tt.want {
				t.Errorf("EditBody(%q) = %+v, want %+v", tt.action, got, tt.want)
			}
		})
	}
}

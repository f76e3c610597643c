package tool

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func FuzzParseRuff(f *testing.F) {
	f.Add([]byte(`[{"code":null,"message":"SyntaxError: x","location":{"row":3,"column":1}}]`))
	f.Add([]byte(`[{"code":"F821","message":"Undefined name","location":{"row":-1}},{}]`))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, report []byte) {
		found, err := parseRuff(report)
		if err != nil && found != nil {
			t.Errorf("parseRuff(%q) = %v beside the error %v", report, found, err)
		}
		for _, d := range found {
			if d.Line < 1 || d.Code == "" {
				t.Errorf("parseRuff(%q) gives %+v", report, d)
			}
		}
	})
}

// FuzzPattern compares the reading of search terms with grep's.
func FuzzPattern(f *testing.F) {
	grep, err := exec.LookPath("grep")
	if err != nil {
		f.Skip("no grep here: " + err.Error())
	}
	for _, term := range []string{
		"a.c", `a\.c`, "f(x)", "a+b", `a\+b`, `ab\?c`, "a?", "x{2}", `^x\{2,\}$`, `a\|b`, `\(ab\)*c`, "*x", `\(*x\)`, "^*x", "a^b", "a$b", "x$",
		"[^ab]c", `[\]`, "[]]", "[^]x]", "[[:digit:]]x", "[a-c]", "[[]", `\<foo\>`, `\w\s`, "x[", `\(x`, `x\`, `a\{2`, `\(^a\)`, `a\|^b`, `\(a$\)`,
	} {
		f.Add(term, "ab a^b a$b xx x ]")
		f.Add(term, "a+b foo 7x f(x) aab ]c*x")
	}
	f.Fuzz(func(t *testing.T, term, line string) {
		p, problem := compile(term)
		if problem != "" || p.note != "" {
			return
		}
		_, got := p.find([]byte(line))
		if !plainASCII(term) || !plainASCII(line) || term == "" || differs(term) {
			return
		}
		cmd := exec.CommandContext(t.Context(), grep, "-q", "-e", term)
		cmd.Stdin = strings.NewReader(line + "\n")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code > 1 || stderr.Len() > 0 {
			return // grep has a complaint about the term, where ours has none
		}
		if want := err == nil; got != want {
			t.Errorf("%q in %q: found %v, grep: %v", term, line, got, want)
		}
	})
}

// differs reports whether a term has something in it that grep is known to take
// otherwise, in corners that no agent relies on.
func differs(term string) bool {
	for _, corner := range []string{`\<`, `\>`, `\b`, `\B`, "\\`", `\'`, "**", "[.", "[="} {
		if strings.Contains(term, corner) {
			return true
		}
	}
	return false
}

func plainASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

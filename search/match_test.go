package search

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzQuery types any text at an index that holds any other. Nothing that is
// typed is an error, and the index finds every step that the comparison with
// the text would, and no other where there is none.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"", "learning rate", `"a b"`, `"a b"*`, "a*", "-a", "a -b", "a OR b", "a OR", "OR", "AND a", "./train.py", "np.random", "--x", "-5", "0.5", ".5", "5.",
		`"`, `""`, `"""`, `-"`, `-""`, `a"b`, "*", "**", "a**", "NEAR(a b)", "{a}:b", "action:x", "^a", "a+b", "(", ")", "'; DROP", "\x00", "\xff", "ü", "İ", "K", "ß",
		"机器", "a\u0301", "\uE000", "1.2.3", "a.5b", strings.Repeat("x", 70), strings.Repeat("a ", 100), strings.Repeat("a OR ", 100), strings.Repeat("-a ", 100),
		`"` + strings.Repeat("a ", 100) + `"`, "ก", "a_b", "x\u200by",
	} {
		f.Add(q, "learning rate a b 0.5 ./train.py np.random 机器 \xff "+q+"!", byte(0))
		f.Add(q, strings.ToUpper(q), byte(1))
		f.Add(q, "x"+q+"5", byte(2))
	}
	db, err := connect(filepath.Join(f.TempDir(), "x"+suffix))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	for _, statement := range schema {
		if _, err := db.Exec(statement); err != nil { //nolint:noctx // a fuzz target has no context before it runs
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, query, text string, which byte) {
		if len(query) > 1<<12 || len(text) > 1<<14 {
			t.Skip("long")
		}
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var sent []row
		s := newSource(Options{}, func(c chunk) error { sent = append(sent, c.rows...); return nil })
		fields := [][]byte{nil, nil, nil}
		fields[which%3] = []byte(text)
		if err := s.add(1, fields[0], fields[1], fields[2]); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(true, known{}); err != nil {
			t.Fatal(err)
		}
		r := sent[0]
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO words(rowid, action, thought, observation) VALUES(1, ?, ?, ?)", r.action, r.thought, r.observation); err != nil {
			t.Fatal(err)
		}
		u, _, err := unpack(r.packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		fields = [][]byte{u.action, u.thought, u.observation}
		e := parse(query)
		for i, in := range []Field{Any, Action, Thought, Observation} {
			searched := texts{}
			for j := range fields {
				if i == 0 || i-1 == j {
					searched = append(searched, fold(append([]byte(nil), fields[j]...)))
				}
			}
			p := e.plan(in)
			var n int
			if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM words WHERE words MATCH ?", p.match).Scan(&n); err != nil {
				t.Fatalf("%q became %q: %v", query, p.match, err)
			}
			holds := e.holds(searched)
			if holds && n == 0 {
				t.Errorf("%q (%s) is in %q, and the index does not find it", query, p.match, text)
			}
			if !holds && n == 1 && !p.compare {
				t.Errorf("%q (%s) is not in %q, and the index finds it", query, p.match, text)
			}
			for j := range searched {
				snippet, _ := e.snippet(searched[j], searched[j])
				end := 0
				for _, m := range snippet.Marks {
					if m.Start < end || m.End <= m.Start || m.End > len(snippet.Text) {
						t.Errorf("%q in %q: mark %v of %q", query, text, m, snippet.Text)
					}
					end = m.End
				}
			}
		}
	})
}

func TestFoldKeepsPlaces(t *testing.T) {
	for in, want := range map[string]string{
		"ABC xyz": "abc xyz", "ÄÖÜ": "äöü", "İ\u212a": "İ\u212a", "ẞ": "ẞ", "Σ": "σ", "\xffA": "\xffa", "": "",
	} {
		got := string(fold([]byte(in)))
		if len(got) != len(in) {
			t.Errorf("fold(%q) has %d bytes, want %d", in, len(got), len(in))
		}
		if got != want {
			t.Errorf("fold(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"./train.py --lr=0.5": "train py lr 0.5 ", "v1.2.3, 5. .5 1..2": "v1.2.3 5 5 1 2 ", "snake_case": "snake case ",
		"机器x学": "机 器 x 学 ", "a\u0301b": "a\u0301b ", "\uE000\xff": "",
	} {
		got, _ := appendWords(nil, []byte(in))
		if string(got) != want {
			t.Errorf("words of %q are %q, want %q", in, got, want)
		}
	}
	got, shortened := appendWords(nil, []byte(strings.Repeat("é", 40)))
	if string(got) != strings.Repeat("é", 32)+" " || !shortened {
		t.Errorf("a long word became %q, %v", got, shortened)
	}
}

// FuzzUnpack reads texts from a damaged file.
func FuzzUnpack(f *testing.F) {
	var packed []byte
	s := newSource(Options{}, func(c chunk) error { packed = c.rows[0].packed; return nil })
	if err := errors.Join(s.add(1, []byte("action"), []byte("thought"), []byte("observation")), s.flush(true, known{})); err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(packed[:5])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, packed []byte) {
		if _, _, err := unpack(packed, nil); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", packed, err)
		}
	})
}

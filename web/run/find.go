package run

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

const (
	// maxFound bounds the steps that a search lists, and maxAsked the length of what is
	// searched for.
	maxFound = 500
	maxAsked = 200
	// around is how many bytes of a text are shown beside what was found.
	around = 60
)

// foundView is what a search inside a run found.
type foundView struct {
	Head  headView
	Query string
	Hits  []hitView
	// More says that there are more than are listed.
	More bool
	// Unread counts steps that could not be read.
	Unread int
}

// hitView is a step in which something was found.
type hitView struct {
	Page  string
	Step  int
	Class string
	Group string
	Parts []snippet
}

// snippet is a piece of a text with what was found marked.
type snippet struct {
	Part  string
	Text  []marked
	Times int
}

// marked is text that was found, or stands beside it.
type marked struct {
	Text  string
	Found bool
}

// find looks for a text in all texts of a run. Whether letters are small or capital
// does not matter.
func (p *Pages) find(w http.ResponseWriter, r *http.Request, run *record.Run) {
	if p.site.Static() {
		http.NotFound(w, r)
		return
	}
	q := r.URL.Query()
	v := foundView{Head: p.newHead(run), Query: strings.TrimSpace(strings.ToValidUTF8(q.Get("q"), ""))}
	if len(v.Query) > maxAsked {
		http.Error(w, "this is too long to be searched for", http.StatusBadRequest)
		return
	}
	if v.Query != "" {
		if err := p.search(r, run, &v); err != nil {
			p.failed(w, r, err)
			return
		}
	}
	if q.Get("part") != "" {
		p.room.Fragment(w, r, "found", v)
		return
	}
	p.room.Render(w, r, page.Page{
		Title: "Search in " + v.Head.Title(), Section: "runs", Path: root(v.Head.Key) + "find", Template: "find", Data: v, Styles: styles,
	})
}

func (p *Pages) search(r *http.Request, run *record.Run, v *foundView) error {
	wanted := newNeedle(v.Query)
	total := run.Len()
	for from := 0; from <= total; {
		steps, err := run.Steps(r.Context(), from, 64)
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		if err != nil || len(steps) == 0 {
			// One of them cannot be read; the others can.
			step, err := run.Step(r.Context(), from)
			if err != nil {
				v.Unread++
				from++
				continue
			}
			steps = []record.Step{step}
		}
		for i := range steps {
			hit := p.hit(v.Head.Key, &steps[i], wanted)
			if hit == nil {
				continue
			}
			if len(v.Hits) == maxFound {
				v.More = true
				return nil
			}
			v.Hits = append(v.Hits, *hit)
		}
		from += len(steps)
	}
	return nil
}

// needle is a text that is looked for, with letters small or capital.
type needle struct {
	low  []byte         // of a text of ASCII
	any  *regexp.Regexp // of another one
	room []byte
}

func newNeedle(text string) *needle {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return &needle{low: lower(nil, text)}
	}
	return &needle{any: regexp.MustCompile("(?i)" + regexp.QuoteMeta(text))}
}

// lower makes the letters of ASCII small, so that each byte stays at its place.
func lower(dst []byte, text string) []byte {
	dst = append(dst[:0], text...)
	for i, b := range dst {
		if 'A' <= b && b <= 'Z' {
			dst[i] = b + 'a' - 'A'
		}
	}
	return dst
}

// maxTimes bounds how often a text is looked for in another.
const maxTimes = 100

// in returns where a text first holds what is looked for, and how often it does.
func (n *needle) in(text string) (from, to, times int) {
	if n.any != nil {
		found := n.any.FindAllStringIndex(text, maxTimes)
		if len(found) == 0 {
			return 0, 0, 0
		}
		return found[0][0], found[0][1], len(found)
	}
	n.room = lower(n.room, text)
	for at := 0; times < maxTimes; times++ {
		i := bytes.Index(n.room[at:], n.low)
		if i < 0 {
			break
		}
		if times == 0 {
			from, to = at+i, at+i+len(n.low)
		}
		at += i + len(n.low)
	}
	return from, to, times
}

// hit looks into one step; nil where nothing is found.
func (p *Pages) hit(key record.Key, s *record.Step, wanted *needle) *hitView {
	var parts []snippet
	for _, part := range []string{"thought", "action", "observation"} {
		text := textOf(s, part)
		from, to, times := wanted.in(text)
		if times == 0 {
			continue
		}
		parts = append(parts, snippet{Part: part, Text: cutOut(text, from, to), Times: times})
	}
	if len(parts) == 0 {
		return nil
	}
	return &hitView{Page: p.pageOf(key, s.Number), Step: s.Number, Group: s.Group, Class: groupClass(s.Group), Parts: parts}
}

// cutOut is a piece of a text around what was found in it, on one line.
func cutOut(text string, from, to int) []marked {
	begin, end := max(0, from-around), min(len(text), to+around)
	for begin > 0 && begin < from && !utf8.RuneStart(text[begin]) {
		begin++
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	before, after := text[begin:from], text[to:end]
	if i := strings.LastIndexByte(before, '\n'); i >= 0 && len(before)-i > 20 {
		before = before[i+1:]
	}
	return []marked{{Text: line(before)}, {Text: line(text[from:to]), Found: true}, {Text: line(after)}}
}

// line is a piece of text on one line, without what would not be seen.
func line(text string) string {
	space := func(s string) string {
		if strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\n") || strings.HasPrefix(s, "\t") {
			return " "
		}
		return ""
	}
	reversed := ""
	if n := len(text); n > 0 && strings.ContainsRune(" \n\t", rune(text[n-1])) && strings.TrimSpace(text) != "" {
		reversed = " "
	}
	return space(text) + markup.Head(strings.Join(strings.Fields(text), " "), 400) + reversed
}

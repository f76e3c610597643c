package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MissingError says that a request has no answer in the cassette.
type MissingError struct {
	Cassette string
	Key      string
	// Recorded is how many answers the same request has, all used up.
	Recorded int
	// Line is that of the nearest recorded request, 0 where there is none.
	Line int
	// Path is where the two differ first, such as "messages[2].text", with the
	// values as JSON; "absent" stands for none.
	Path, Have, Want string
	// Differences counts the values that differ.
	Differences int
}

// Error names the nearest recorded request and the first difference.
func (e *MissingError) Error() string {
	switch {
	case e.Recorded > 0:
		return fmt.Sprintf("%s: the request %s was recorded %d times and is asked once more", e.Cassette, e.Key, e.Recorded)
	case e.Line == 0:
		return fmt.Sprintf("%s: no request is recorded", e.Cassette)
	}
	return fmt.Sprintf("%s: the request %s is not recorded; the nearest, in line %d, differs in %d place(s), first in %s: recorded %s, asked %s",
		e.Cassette, e.Key, e.Line, e.Differences, e.Path, e.Want, e.Have)
}

func (c *cassette) missing(k string, normal []byte, recorded int) *MissingError {
	e := &MissingError{Cassette: c.name, Key: k, Recorded: recorded}
	asked, err := decodeTree(normal)
	if recorded > 0 || err != nil {
		return e
	}
	var nearest []difference
	for _, candidate := range c.entries {
		found := compare(asked, candidate.tree, "", nil)
		// Of equally many differences, the text with the longer common beginning is
		// nearer.
		if e.Line == 0 || len(found) < len(nearest) ||
			len(found) == len(nearest) && len(found) > 0 && found[0].shared > nearest[0].shared {
			e.Line, nearest = candidate.line, found
		}
	}
	if len(nearest) > 0 {
		e.Path, e.Have, e.Want, e.Differences = nearest[0].path, nearest[0].have, nearest[0].want, len(nearest)
	}
	return e
}

type difference struct {
	path, have, want string
	shared           int // bytes at the beginning of both, where both are texts
}

// compare appends to found where two JSON trees differ, in the order of a reader:
// messages first, then the rest by name.
func compare(have, want any, path string, found []difference) []difference {
	switch h := have.(type) {
	case map[string]any:
		if w, ok := want.(map[string]any); ok {
			return compareObjects(h, w, path, found)
		}
	case []any:
		if w, ok := want.([]any); ok {
			for i := range max(len(h), len(w)) {
				at := path + "[" + strconv.Itoa(i) + "]"
				switch {
				case i >= len(h):
					found = append(found, difference{path: at, have: "absent", want: brief(w[i])})
				case i >= len(w):
					found = append(found, difference{path: at, have: brief(h[i]), want: "absent"})
				default:
					found = compare(h[i], w[i], at, found)
				}
			}
			return found
		}
	default:
		if have == want {
			return found
		}
	}
	return append(found, differing(path, have, want))
}

// differing shows two values; of two texts, the beginning that they share is left
// out where it is long.
func differing(path string, have, want any) difference {
	h, isText := have.(string)
	w, alsoText := want.(string)
	if !isText || !alsoText {
		return difference{path: path, have: brief(have), want: brief(want)}
	}
	same := 0
	for same < min(len(h), len(w)) && h[same] == w[same] {
		same++
	}
	const context = 30
	if same <= 2*context {
		return difference{path: path, have: brief(h), want: brief(w), shared: same}
	}
	from := same - context
	for !utf8.RuneStart(h[from]) {
		from--
	}
	return difference{path: fmt.Sprintf("%s from byte %d", path, from), have: brief(h[from:]), want: brief(w[from:]), shared: same}
}

func compareObjects(have, want map[string]any, path string, found []difference) []difference {
	all := maps.Clone(have)
	maps.Copy(all, want)
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(boolOrder(a == "messages", b == "messages"), cmp.Compare(a, b))
	})
	for _, name := range names {
		at := name
		if path != "" {
			at = path + "." + name
		}
		h, inHave := have[name]
		w, inWant := want[name]
		switch {
		case !inHave:
			found = append(found, difference{path: at, have: "absent", want: brief(w)})
		case !inWant:
			found = append(found, difference{path: at, have: brief(h), want: "absent"})
		default:
			found = compare(h, w, at, found)
		}
	}
	return found
}

func boolOrder(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// brief is a value as JSON, cut to a readable length.
func brief(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const limit = 120
	if len(raw) <= limit {
		return string(raw)
	}
	cut := limit
	for !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return string(raw[:cut]) + "…"
}

package runs

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/search"
	"mlgym/web/markup"
)

// dimension is something that runs are filtered by.
type dimension struct {
	// name of the parameter, and what people read.
	name, label string
	// counts are the values that there are.
	counts func(*search.Values) []search.Count
}

// dimensions are all, in the order of the form.
var dimensions = []dimension{
	{"task", "Task", func(v *search.Values) []search.Count { return v.Tasks }},
	{"model", "Model", func(v *search.Values) []search.Count { return v.Models }},
	{"agent", "Agent", func(v *search.Values) []search.Count { return v.Agents }},
	{"state", "State", func(v *search.Values) []search.Count { return v.States }},
	{"exit", "Exit", func(v *search.Values) []search.Count { return v.ExitStatus }},
	{"mode", "Mode", func(v *search.Values) []search.Count { return v.Modes }},
	{"variant", "Variant", func(v *search.Values) []search.Count { return v.Variants }},
}

// choice is which runs are wanted, in which order, and which page of them: the
// state of a list, as its address has it.
type choice struct {
	// values of each dimension by its name.
	values map[string][]string
	text   string
	sort   search.Sort
	asc    bool
	page   int
}

// maxText bounds what is typed, and maxValues how many values are chosen of a
// dimension.
const (
	maxText   = 2000
	maxValues = 200
)

// readChoice reads the parameters of an address. Those that are empty, as a form
// sends them, are as good as not there.
func readChoice(q url.Values) (choice, error) {
	c := choice{values: map[string][]string{}, sort: search.ByStart, page: 1}
	for _, d := range dimensions {
		for _, v := range q[d.name] {
			if v != "" && !slices.Contains(c.values[d.name], v) {
				c.values[d.name] = append(c.values[d.name], v)
			}
		}
		if len(c.values[d.name]) > maxValues {
			return c, badf("the address chooses more than %d values of %q", maxValues, d.name)
		}
	}
	for _, s := range c.values["state"] {
		if !slices.Contains(search.States(), search.State(s)) {
			return c, badf("state=%q is none of running, cut, finished, broken%s", s, hint(s, words(search.States())))
		}
	}
	c.text = strings.TrimSpace(q.Get("q"))
	if len(c.text) > maxText {
		return c, badf("the text to look for is longer than %d bytes: shorten it", maxText)
	}
	if s := q.Get("sort"); s != "" {
		c.sort = search.Sort(s)
		if all := search.Sorts(); !slices.Contains(all, c.sort) {
			return c, badf("runs cannot be sorted by %q (sort=…); they can by %s%s", s, strings.Join(words(all), ", "), hint(s, words(all)))
		}
	}
	switch q.Get("order") {
	case "", "desc":
	case "asc":
		c.asc = true
	default:
		return c, badf("order=%q is neither asc nor desc", q.Get("order"))
	}
	if s := q.Get("page"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1_000_000 {
			return c, badf("page=%q is no number of a page", s)
		}
		c.page = n
	}
	return c, nil
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func hint(got string, known []string) string { return nearest.Hint(got, known) }

// filter is the choice as the library takes it, without one dimension ("" leaves
// none out).
func (c *choice) filter(without string) search.Filter {
	get := func(name string) []string {
		if name == without {
			return nil
		}
		return c.values[name]
	}
	f := search.Filter{
		Tasks: get("task"), Models: get("model"), Agents: get("agent"), ExitStatus: get("exit"), Modes: get("mode"), Variants: get("variant"),
	}
	for _, s := range get("state") {
		f.States = append(f.States, search.State(s))
	}
	return f
}

// filtered reports whether anything is chosen.
func (c *choice) filtered() bool {
	for _, v := range c.values {
		if len(v) > 0 {
			return true
		}
	}
	return c.text != ""
}

// query is the choice as parameters, in the order of the form. What is as always is
// left out.
func (c *choice) query() string {
	var b strings.Builder
	add := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + url.QueryEscape(value))
	}
	if c.text != "" {
		add("q", c.text)
	}
	for _, d := range dimensions {
		for _, v := range c.values[d.name] {
			add(d.name, v)
		}
	}
	if c.sort != search.ByStart {
		add("sort", string(c.sort))
	}
	if c.asc {
		add("order", "asc")
	}
	if c.page > 1 {
		add("page", strconv.Itoa(c.page))
	}
	return b.String()
}

// link is the path of a page with parameters.
func link(to, query string) string {
	if query == "" {
		return to
	}
	return to + "?" + query
}

// without is the choice without one value of a dimension, from the first page on.
func (c *choice) without(name, value string) choice {
	out := *c
	out.page = 1
	out.values = map[string][]string{}
	for n, list := range c.values {
		if n == name {
			list = slices.DeleteFunc(slices.Clone(list), func(v string) bool { return v == value })
		}
		out.values[n] = list
	}
	return out
}

// facet is a dimension in a form.
type facet struct {
	Name, Label string
	// Chosen are the values that are chosen, and One the only one of them.
	Chosen []option
	One    string
	// Many says that there are several: they are listed, and further ones not offered.
	Many    bool
	Options []option
}

// option is a value that can be chosen, and how it is shown.
type option struct {
	Value, Shown string
	Runs         int
}

func optionOf(value string, n int) option {
	shown := markup.Head(value, 60)
	if shown == "" {
		shown = "(unreadable)"
	}
	return option{value, shown, n}
}

// facets makes the fields of the form. Of each, the counts are those of the runs
// that the other fields let pass. Fields that would not choose anything are left
// out. The library is asked once for each that is chosen, and once for the others.
// Narrow, which may be nil, says what else the runs have to be.
func (p *Pages) facets(ctx context.Context, c *choice, narrow func(*search.Filter)) ([]facet, error) {
	ask := func(without string) (*search.Values, error) {
		f := c.filter(without)
		if narrow != nil {
			narrow(&f)
		}
		v, err := p.lib.Values(ctx, f)
		return &v, err
	}
	all, err := ask("")
	if err != nil {
		return nil, err
	}
	var out []facet
	for _, d := range dimensions {
		v, chosen := all, c.values[d.name]
		if len(chosen) > 0 {
			if v, err = ask(d.name); err != nil {
				return nil, err
			}
		}
		f := facet{Name: d.name, Label: d.label, Many: len(chosen) > 1}
		if len(chosen) == 1 {
			f.One = chosen[0]
		}
		for _, c := range d.counts(v) {
			f.Options = append(f.Options, optionOf(c.Value, c.Runs))
		}
		for _, value := range chosen {
			f.Chosen = append(f.Chosen, optionOf(value, 0))
			if !slices.ContainsFunc(f.Options, func(o option) bool { return o.Value == value }) {
				f.Options = append(f.Options, optionOf(value, 0))
			}
		}
		if len(chosen) > 0 || len(f.Options) > 1 {
			out = append(out, f)
		}
	}
	return out, nil
}

// chip is a chosen value, with the way to be rid of it.
type chip struct {
	Label, Shown, Link string
}

func chips(c *choice, to string, keep string) []chip {
	var out []chip
	for _, d := range dimensions {
		for _, v := range c.values[d.name] {
			rest := c.without(d.name, v)
			q := rest.query()
			if keep != "" && q != "" {
				q = keep + "&" + q
			} else if keep != "" {
				q = keep
			}
			out = append(out, chip{Label: d.label, Shown: optionOf(v, 0).Shown, Link: link(to, q)})
		}
	}
	return out
}

package leaderboard

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// settings choose the runs that are compared.
type settings struct {
	// Tasks and Models to compare, sorted; empty means all.
	Tasks, Models []string
	// Mode and Variant of the runs; "" leaves the choice to [board.choose].
	Mode, Variant string
	// Clean leaves out the runs that the audit flagged.
	Clean bool
}

// bounds on what an address may ask for.
const (
	maxNames = 200
	maxName  = 200
)

// parseSettings reads the query of an address. Nothing in it is an error: what
// makes no sense is left out.
func parseSettings(q url.Values) settings {
	names := func(key string) []string {
		var out []string
		for _, v := range q[key] {
			if v != "" && len(v) <= maxName && utf8.ValidString(v) && len(out) < maxNames {
				out = append(out, v)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	one := func(key string) string {
		if v := names(key); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	return settings{Tasks: names("task"), Models: names("model"), Mode: one("mode"), Variant: one("variant"), Clean: q.Get("flagged") == "without"}
}

// query is the settings as an address has them, "" for the default ones; equal
// settings have equal queries.
func (s settings) query() string {
	q := url.Values{}
	for _, t := range s.Tasks {
		q.Add("task", t)
	}
	for _, m := range s.Models {
		q.Add("model", m)
	}
	if s.Mode != "" {
		q.Set("mode", s.Mode)
	}
	if s.Variant != "" {
		q.Set("variant", s.Variant)
	}
	if s.Clean {
		q.Set("flagged", "without")
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// runs names the settings that decide which runs are read at all.
func (s settings) runs() string { return strings.Join([]string{s.Mode, s.Variant}, "\x00") }

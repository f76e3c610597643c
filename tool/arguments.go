package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// paramKind is the type of an argument.
type paramKind int

const (
	textParam paramKind = iota
	numberParam
)

// String is the name of the type in JSON Schema.
func (k paramKind) String() string {
	if k == numberParam {
		return "integer"
	}
	return "string"
}

// param describes one argument of a tool.
type param struct {
	name     string
	kind     paramKind
	required bool
	enum     []string
	doc      string
}

// arguments are the values of one call, by name. Absent ones have no key.
type arguments map[string]value

type value struct {
	text   string
	number int
}

func (a arguments) has(name string) bool         { _, ok := a[name]; return ok }
func (a arguments) text(name string) string      { return a[name].text }
func (a arguments) number(name string) int       { return a[name].number }
func (a arguments) setText(name, text string)    { a[name] = value{text: text} }
func (a arguments) setNumber(name string, n int) { a[name] = value{number: n} }
func fieldNames(params []param) (list []string) {
	for _, p := range params {
		list = append(list, p.name)
	}
	return list
}

// decodeArgs reads the typed form. The string says what is wrong with it, ""
// when nothing is. A whole number may also come as a string or as 3.0, and a
// string field as a number, since models write them so; null is an absent
// field.
func decodeArgs(raw json.RawMessage, params []param) (arguments, string) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Sprintf("the arguments must be a JSON object, not %s", article(wrongType.Value))
		}
		return nil, "the arguments are not valid JSON: " + clip(err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, "there is something after the JSON object of the arguments"
	}
	var unknown []string
	args := arguments{}
	for name, field := range fields {
		i := indexParam(params, name)
		if i < 0 {
			unknown = append(unknown, name)
			continue
		}
		if field == nil {
			continue
		}
		v, problem := params[i].decode(field)
		if problem != "" {
			// One problem is enough to mend the call; which of several is
			// named must not depend on the order of a map.
			return nil, firstProblem(fields, params)
		}
		args[name] = v
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return nil, unknownField(unknown[0], params)
	}
	for _, p := range params {
		if p.required && !args.has(p.name) {
			return nil, fmt.Sprintf("the argument %q (%s: %s) is missing", p.name, p.kind, p.doc)
		}
	}
	return args, ""
}

func indexParam(params []param, name string) int {
	for i, p := range params {
		if p.name == name {
			return i
		}
	}
	return -1
}

func firstProblem(fields map[string]any, params []param) string {
	for _, p := range params {
		if field, ok := fields[p.name]; ok && field != nil {
			if _, problem := p.decode(field); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func unknownField(name string, params []param) string {
	list := fieldNames(params)
	if len(list) == 0 {
		return fmt.Sprintf("it takes no arguments, but got %s", quote(name))
	}
	return fmt.Sprintf("there is no argument %s%s The arguments are: %s", quote(name), didYouMean(name, list), strings.Join(list, ", "))
}

func unknownChoice(what, got string, choices []string) string {
	return fmt.Sprintf("the %s %s is not known%s It is one of: %s", what, quote(got), didYouMean(got, choices), strings.Join(choices, ", "))
}

// didYouMean ends a sentence about an unknown name.
func didYouMean(name string, known []string) string {
	if near, ok := nearest(name, known); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "."
}

func (p param) decode(field any) (value, string) {
	wrong := func(got string) string {
		return fmt.Sprintf("the argument %q must be %s, not %s", p.name, article(p.kind.String()), got)
	}
	switch v := field.(type) {
	case string:
		if p.kind == numberParam {
			n, problem := parseNumber(strings.TrimSpace(v))
			if problem != "" {
				return value{}, wrong(quote(v))
			}
			return value{number: n}, ""
		}
		if len(p.enum) > 0 && !contains(p.enum, v) {
			return value{}, unknownChoice(p.name, v, p.enum)
		}
		return value{text: v}, ""
	case json.Number:
		if p.kind == textParam {
			if len(p.enum) > 0 {
				return value{}, unknownChoice(p.name, v.String(), p.enum)
			}
			return value{text: v.String()}, ""
		}
		f, err := v.Float64()
		if err != nil || f != math.Trunc(f) || math.Abs(f) > maxNumber {
			return value{}, wrong(clip(v.String()))
		}
		return value{number: int(f)}, ""
	case bool:
		return value{}, wrong(strconv.FormatBool(v))
	case []any:
		return value{}, wrong("a list")
	default:
		return value{}, wrong("an object")
	}
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// maxNumber bounds every number of a call, so that sums of two do not overflow.
const maxNumber = 999_999_999

// parseNumber reads digits, as the shell form has them. The string says what is
// wrong: it completes "<line> …".
func parseNumber(word string) (int, string) {
	if word == "" || strings.Trim(word, "0123456789") != "" {
		return 0, "must be a number"
	}
	word = strings.TrimLeft(word, "0")
	if len(word) > 9 {
		return 0, fmt.Sprintf("must not be greater than %d", maxNumber)
	}
	if word == "" {
		return 0, ""
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0, "must be a number"
	}
	return n, ""
}

// nearest finds the name most like the given one, if any is like it.
func nearest(name string, names []string) (string, bool) {
	if len(name) > 64 {
		return "", false
	}
	best, bestDistance := "", math.MaxInt
	lower := strings.ToLower(name)
	for _, candidate := range names {
		d := editDistance(lower, strings.ToLower(candidate))
		// A name that contains the other is near too: line for line_number.
		if len(name) >= 3 && (strings.Contains(candidate, lower) || strings.Contains(lower, candidate)) {
			d = min(d, 2)
		}
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, bestDistance <= max(2, len(name)/3)
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

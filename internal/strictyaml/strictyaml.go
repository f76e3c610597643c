// Package strictyaml reads hand-written YAML files into Go structs and refuses
// whatever it does not understand, with the file, the line and the key.
//
// Unknown keys, keys written twice, values of another type and missing keys
// are errors; numbers are not taken for text, nor text for numbers. A struct
// field is named by its yaml tag and is required unless the tag says
// "optional": `yaml:"name,optional"`. Anchors, aliases, merge keys and tags are
// refused: files that people write by hand for us do not need them.
package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mlgym/internal/nearest"
)

// Error is one thing that is wrong with a file.
type Error struct {
	File string
	// Line counts from 1; 0 where the whole file is meant.
	Line int
	// Key is the path of the value, such as "metrics[0].direction"; "" for the
	// whole document.
	Key     string
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Lines tells where in the file a value stands, by its path ("a.b[2].c").
type Lines map[string]int

// At makes an error about the value at a path. A path that the file does not
// have is placed at the nearest value around it.
func (l Lines) At(file, key, format string, args ...any) *Error {
	at := key
	for {
		if line, ok := l[at]; ok || at == "" {
			return &Error{File: file, Line: line, Key: key, Message: fmt.Sprintf(format, args...)}
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
}

// Decode reads data into the struct that into points to. The error joins one
// [*Error] per problem, in the order of the file. name is the file's name in
// these errors.
func Decode(name string, data []byte, into any) (Lines, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("decode %s: want a pointer to a struct, got %T", name, into)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, &Error{File: name, Message: "the file is empty"}
	case 1:
	default:
		return nil, &Error{File: name, Line: line(bodies[1]), Message: "the file holds more than one document"}
	}
	d := decoder{file: name, lines: Lines{}}
	d.value(bodies[0], target.Elem(), "")
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b *Error) int { return a.Line - b.Line })
		joined := make([]error, len(d.problems))
		for i, p := range d.problems {
			joined[i] = p
		}
		return d.lines, errors.Join(joined...)
	}
	return d.lines, nil
}

func syntaxError(name string, err error) error {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return &Error{File: name, Line: syntax.GetToken().Position.Line, Message: "not YAML: " + syntax.GetMessage()}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{File: name, Message: "not YAML: " + first}
}

type decoder struct {
	file     string
	lines    Lines
	problems []*Error
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func (d *decoder) fail(n ast.Node, key, format string, args ...any) {
	d.problems = append(d.problems, &Error{d.file, line(n), key, fmt.Sprintf(format, args...)})
}

var durationType = reflect.TypeFor[time.Duration]()

// value puts node into v, whose path is key.
func (d *decoder) value(node ast.Node, v reflect.Value, key string) {
	if _, known := d.lines[key]; !known {
		d.lines[key] = line(node)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, v.Elem(), key)
		return
	}
	var reader encoding.TextUnmarshaler
	if v.CanAddr() {
		reader, _ = reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	}
	switch {
	case v.Type() == durationType:
		text, ok := scalarText(node)
		got, err := time.ParseDuration(text)
		if !ok || err != nil || got < 0 {
			d.fail(node, key, "want a duration such as 90s or 30m, got %s", describe(node))
			return
		}
		v.SetInt(int64(got))
		return
	case reader != nil:
		text, ok := scalarText(node)
		if !ok {
			d.fail(node, key, "want text, got %s", describe(node))
			return
		}
		if err := reader.UnmarshalText([]byte(text)); err != nil {
			d.fail(node, key, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(node, v, key)
	case reflect.Map:
		d.mapping(node, v, key)
	case reflect.Slice:
		d.sequence(node, v, key)
	case reflect.Interface:
		if got := d.any(node, key); got != nil {
			v.Set(reflect.ValueOf(got))
		}
	default:
		d.scalar(node, v, key)
	}
}

func (d *decoder) scalar(node ast.Node, v reflect.Value, key string) {
	switch v.Kind() {
	case reflect.String:
		text, ok := scalarText(node)
		if !ok {
			d.fail(node, key, "want text, got %s", describe(node))
			return
		}
		v.SetString(text)
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			d.fail(node, key, "want true or false, got %s", describe(node))
			return
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int64, reflect.Int32:
		i, ok := integer(node)
		if !ok || v.OverflowInt(i) {
			d.fail(node, key, "want a whole number, got %s", describe(node))
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, ok := number(node)
		if !ok {
			d.fail(node, key, "want a number, got %s", describe(node))
			return
		}
		v.SetFloat(f)
	default:
		d.fail(node, key, "a field of kind %s cannot be read from YAML", v.Kind())
	}
}

func (d *decoder) structure(node ast.Node, v reflect.Value, key string) {
	pairs, ok := d.pairs(node, key)
	if !ok {
		return
	}
	type field struct {
		value    reflect.Value
		optional bool
	}
	fields := map[string]field{}
	var names []string
	for i := range v.NumField() {
		name, flags, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = field{v.Field(i), flags == "optional"}
		names = append(names, name)
	}
	present := map[string]bool{}
	for _, p := range pairs {
		f, known := fields[p.name]
		if !known {
			d.fail(p.at, join(key, p.name), "unknown key%s", nearestKeys(p.name, names))
			continue
		}
		present[p.name] = true
		d.lines[join(key, p.name)] = line(p.at)
		d.value(p.node, f.value, join(key, p.name))
	}
	for _, name := range names {
		if !present[name] && !fields[name].optional {
			d.fail(node, join(key, name), "missing")
		}
	}
}

func nearestKeys(name string, known []string) string {
	if hint := nearest.Hint(name, known); hint != "" {
		return hint
	}
	return "; known here: " + strings.Join(known, ", ")
}

func (d *decoder) mapping(node ast.Node, v reflect.Value, key string) {
	pairs, ok := d.pairs(node, key)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range pairs {
		d.lines[join(key, p.name)] = line(p.at)
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(p.node, element, join(key, p.name))
		v.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), element)
	}
}

func (d *decoder) sequence(node ast.Node, v reflect.Value, key string) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.fail(node, key, "want a list, got %s", describe(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, n := range list.Values {
		d.value(n, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
}

// any reads a free value: text, bool, int64, float64, []any, map[string]any.
func (d *decoder) any(node ast.Node, key string) any {
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		pairs, _ := d.pairs(n, key)
		m := map[string]any{}
		for _, p := range pairs {
			m[p.name] = d.any(p.node, join(key, p.name))
		}
		return m
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, v := range n.Values {
			list[i] = d.any(v, fmt.Sprintf("%s[%d]", key, i))
		}
		return list
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		if i, ok := integer(n); ok {
			return i
		}
	case *ast.FloatNode:
		if f, ok := number(n); ok {
			return f
		}
	case *ast.NullNode:
		return nil
	}
	if text, ok := scalarText(node); ok {
		return text
	}
	d.fail(node, key, "%s is not allowed here", describe(node))
	return nil
}

type pair struct {
	name string
	at   ast.Node
	node ast.Node
}

// pairs lists the entries of a mapping and reports keys written twice.
func (d *decoder) pairs(node ast.Node, key string) ([]pair, bool) {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fail(node, key, "want keys and values, got %s", describe(node))
		return nil, false
	}
	var list []pair
	seen := map[string]bool{}
	for _, mv := range values {
		name, ok := keyText(mv.Key)
		switch {
		case !ok:
			d.fail(mv.Key, key, "%s cannot be a key", describe(mv.Key))
			continue
		case seen[name]:
			d.fail(mv.Key, join(key, name), "written twice")
			continue
		}
		seen[name] = true
		list = append(list, pair{name, mv.Key, mv.Value})
	}
	return list, true
}

func keyText(n ast.MapKeyNode) (string, bool) {
	switch k := n.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func integer(node ast.Node) (int64, bool) {
	n, ok := node.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch i := n.Value.(type) {
	case int64:
		return i, true
	case uint64:
		if i <= math.MaxInt64 {
			return int64(i), true
		}
	}
	return 0, false
}

func number(node ast.Node) (float64, bool) {
	if f, ok := node.(*ast.FloatNode); ok {
		return f.Value, !math.IsInf(f.Value, 0) && !math.IsNaN(f.Value)
	}
	i, ok := integer(node)
	return float64(i), ok
}

func describe(node ast.Node) string {
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	}
	return "a YAML " + strings.ToLower(node.Type().String())
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

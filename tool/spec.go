package tool

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"strings"
)

//go:embed *.md
var prose embed.FS

// exampleHeading parts the prose of a tool from its example in shell form.
const exampleHeading = "\nExample:\n"

// Prose is Doc without its example of the shell form: what to tell a model
// that calls the tool as a typed function.
func (s Spec) Prose() string {
	text, _, _ := strings.Cut(s.Doc, exampleHeading)
	return strings.TrimSpace(text) + "\n"
}

// command is a tool together with what runs it.
type command struct {
	name, usage string
	terminator  string
	outside     bool
	params      []param
	// fromArgv reads the shell form. The string says what is wrong, "" when
	// nothing is; usageOnly when the usage line says all.
	fromArgv func(argv []string, stdin []byte) (arguments, string)
	run      func(r *Session, ctx context.Context, c call) Result
}

// usageOnly is the problem of a call that the usage line explains by itself.
const usageOnly = "\x00usage"

// commands lists the tools in the order in which a model reads them.
func commands() []command {
	return []command{
		openCommand(), gotoCommand(), scrollUpCommand(), scrollDownCommand(),
		createCommand(), editCommand(), insertCommand(),
		searchDirCommand(), searchFileCommand(), findFileCommand(),
		jobCommand(),
		{name: "validate", usage: "validate", outside: true, fromArgv: noArguments},
		{name: "submit", usage: "submit", outside: true, fromArgv: noArguments},
	}
}

func noArguments(argv []string, _ []byte) (arguments, string) {
	if len(argv) > 0 {
		return nil, "it takes no argument"
	}
	return arguments{}, ""
}

// All describes every tool, always in the same order.
func All() []Spec {
	list := commands()
	specs := make([]Spec, len(list))
	for i, c := range list {
		specs[i] = c.spec()
	}
	return specs
}

// Find describes the tool of that name.
func Find(name string) (Spec, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c.spec(), true
		}
	}
	return Spec{}, false
}

func (c command) spec() Spec {
	doc, err := prose.ReadFile(c.name + ".md")
	if err != nil {
		panic("tool: no prose for " + c.name) // a fault of the build; a test reads all
	}
	return Spec{
		Name: c.name, Usage: c.usage, Doc: string(doc),
		Parameters: schema(c.params), Terminator: c.terminator, Outside: c.outside,
	}
}

// schema is the JSON Schema of an object with the given fields, in their order.
func schema(params []param) json.RawMessage {
	type property struct {
		Type        string   `json:"type"`
		Description string   `json:"description"`
		Enum        []string `json:"enum,omitempty"`
		Minimum     *int     `json:"minimum,omitempty"`
	}
	var out bytes.Buffer
	required := []string{}
	out.WriteString(`{"type":"object","properties":{`)
	for i, p := range params {
		if i > 0 {
			out.WriteByte(',')
		}
		field := property{Type: p.kind.String(), Description: p.doc, Enum: p.enum}
		if p.kind == numberParam {
			field.Minimum = new(int)
		}
		writeJSON(&out, p.name)
		out.WriteByte(':')
		writeJSON(&out, field)
		if p.required {
			required = append(required, p.name)
		}
	}
	out.WriteString(`},"required":`)
	writeJSON(&out, required)
	out.WriteString(`,"additionalProperties":false}`)
	return out.Bytes()
}

func writeJSON(out *bytes.Buffer, v any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("tool: schema: " + err.Error()) // strings and numbers always encode
	}
	out.Truncate(out.Len() - 1) // the encoder ends with a line end
}

package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"mlgym/model"
)

// provider is the name in errors.
const provider = "replay"

// Model answers from a cassette. It is safe for concurrent use.
type Model struct {
	cassette *cassette

	mu   sync.Mutex // guards used
	used map[string]int
}

// Open reads a cassette from a file.
func Open(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the cassette: %w", err)
	}
	defer f.Close()
	return New(path, f)
}

// New reads a cassette; name is what errors call it.
func New(name string, r io.Reader) (*Model, error) {
	c, err := read(name, r)
	if err != nil {
		return nil, err
	}
	return &Model{cassette: c, used: map[string]int{}}, nil
}

// Len returns the number of recorded exchanges.
func (m *Model) Len() int { return len(m.cassette.entries) }

// Generate returns what was recorded for the request, the first time the first
// answer, then the next. Otherwise the error is a [model.NotFound] around a
// [*MissingError].
func (m *Model) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", provider, err)
	}
	normal, err := normalise(req)
	if err != nil {
		return nil, err
	}
	k := key(normal)
	m.mu.Lock()
	n := m.used[k]
	m.used[k]++
	m.mu.Unlock()
	recorded := m.cassette.byKey[k]
	if n >= len(recorded) {
		missing := m.cassette.missing(k, normal, len(recorded))
		return nil, &model.Error{Kind: model.NotFound, Provider: provider, Message: missing.Error(), Err: missing}
	}
	e := recorded[n]
	if e.Error != nil {
		return nil, &model.Error{Kind: e.Error.Kind, Provider: e.Error.Provider, Status: e.Error.Status, Message: e.Error.Message}
	}
	resp := *e.Response
	return &resp, nil
}

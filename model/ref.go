package model

import (
	"fmt"
	"strings"
)

// Ref names a model as a person writes it: PROVIDER/NAME. The name may hold
// further slashes ("openai/meta-llama/Llama-3.1-8B" has the name
// "meta-llama/Llama-3.1-8B").
type Ref struct {
	Provider string
	Name     string
}

// String returns PROVIDER/NAME.
func (r Ref) String() string { return r.Provider + "/" + r.Name }

// ParseRef reads PROVIDER/NAME. Whether the provider exists is for the caller to
// say.
func ParseRef(s string) (Ref, error) {
	provider, name, _ := strings.Cut(s, "/")
	if provider == "" || name == "" {
		return Ref{}, fmt.Errorf("model %q is not of the form PROVIDER/NAME, such as openai/gpt-4o-mini", s)
	}
	return Ref{Provider: provider, Name: name}, nil
}

package strictyaml

import (
	"fmt"
	"strings"

	"mlgym/internal/nearest"
)

// OneOf sets dst to the one of the values that text names; the error lists them
// all and the nearest. It is what UnmarshalText of a named set of words does.
func OneOf[T ~string](dst *T, text []byte, values ...T) error {
	known := make([]string, 0, len(values))
	for _, v := range values {
		if string(v) == string(text) {
			*dst = v
			return nil
		}
		known = append(known, string(v))
	}
	return fmt.Errorf("want one of %s, got %q%s", strings.Join(known, ", "), text, nearest.Hint(string(text), known))
}

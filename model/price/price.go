// Package price knows what models cost. The table that ships is a start: users
// extend and override it with a file of the same form (docs/format/prices.md).
package price

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mlgym/internal/strictyaml"
	"mlgym/model"
)

// Price is what a model's tokens cost, in USD per million.
type Price struct {
	InputUSD  float64 `yaml:"input"`
	OutputUSD float64 `yaml:"output"`
	// CachedInputUSD is for input tokens read from the provider's cache. Nil
	// charges them as input, which is an upper bound.
	CachedInputUSD *float64 `yaml:"cached_input,optional"`
	// CacheWriteUSD is for input tokens written to the provider's cache. Nil
	// charges them as input.
	CacheWriteUSD *float64 `yaml:"cache_write,optional"`
	// Long replaces the prices above for a request whose input is long.
	Long *Long `yaml:"long,optional"`
}

// Long is the price of a request with more than AboveTokens input tokens, for
// all of its tokens.
type Long struct {
	AboveTokens    int64    `yaml:"above_tokens"`
	InputUSD       float64  `yaml:"input"`
	OutputUSD      float64  `yaml:"output"`
	CachedInputUSD *float64 `yaml:"cached_input,optional"`
	CacheWriteUSD  *float64 `yaml:"cache_write,optional"`
}

// Cost returns the price of one request's usage in USD.
func (p Price) Cost(u model.Usage) float64 {
	if p.Long != nil && u.InputTokens > p.Long.AboveTokens {
		p = Price{
			InputUSD: p.Long.InputUSD, OutputUSD: p.Long.OutputUSD,
			CachedInputUSD: p.Long.CachedInputUSD, CacheWriteUSD: p.Long.CacheWriteUSD,
		}
	}
	cached, write := p.InputUSD, p.InputUSD
	if p.CachedInputUSD != nil {
		cached = *p.CachedInputUSD
	}
	if p.CacheWriteUSD != nil {
		write = *p.CacheWriteUSD
	}
	plain := max(0, u.InputTokens-u.CachedTokens-u.CacheWriteTokens)
	return (float64(plain)*p.InputUSD + float64(u.CachedTokens)*cached +
		float64(u.CacheWriteTokens)*write + float64(u.OutputTokens)*p.OutputUSD) / 1e6
}

// Table maps models to prices. The zero value knows none. It is immutable, and
// so safe for concurrent use.
type Table struct {
	models map[string]Price
}

// file is the form on disk.
type file struct {
	Version int              `yaml:"version"`
	Date    string           `yaml:"date,optional"`
	Models  map[string]Price `yaml:"models"`
}

// version of the form on disk.
const version = 1

//go:embed prices.yaml
var embedded []byte

// Default returns the table that ships.
func Default() (Table, error) { return Parse("prices.yaml", embedded) }

// Load reads a table from a file.
func Load(path string) (Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Table{}, fmt.Errorf("read the price table: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a table. Errors name the file, the line and the key.
func Parse(name string, data []byte) (Table, error) {
	var f file
	lines, err := strictyaml.Decode(name, data, &f)
	if err != nil {
		return Table{}, err
	}
	if f.Version != version {
		return Table{}, lines.At(name, "version", "is %d; this program reads version %d", f.Version, version)
	}
	for _, id := range slices.Sorted(maps.Keys(f.Models)) {
		key := "models." + id
		if strings.Contains(strings.TrimSuffix(id, "*"), "*") || strings.TrimSuffix(id, "*") == "" {
			return Table{}, lines.At(name, key, "a model's name may hold one *, at its end, after at least one character")
		}
		for _, field := range f.Models[id].fields() {
			if !(field.usd >= 0 && field.usd <= 1e6) {
				return Table{}, lines.At(name, key+"."+field.key, "is %v; want USD per million tokens, from 0 to 1000000", field.usd)
			}
		}
		if long := f.Models[id].Long; long != nil && long.AboveTokens <= 0 {
			return Table{}, lines.At(name, key+".long.above_tokens", "is %d; want a number of tokens above 0", long.AboveTokens)
		}
	}
	return Table{models: f.Models}, nil
}

type field struct {
	key string
	usd float64
}

func (p Price) fields() []field {
	fields := []field{{"input", p.InputUSD}, {"output", p.OutputUSD}}
	add := func(key string, usd *float64) {
		if usd != nil {
			fields = append(fields, field{key, *usd})
		}
	}
	add("cached_input", p.CachedInputUSD)
	add("cache_write", p.CacheWriteUSD)
	if p.Long != nil {
		fields = append(fields, field{"long.input", p.Long.InputUSD}, field{"long.output", p.Long.OutputUSD})
		add("long.cached_input", p.Long.CachedInputUSD)
		add("long.cache_write", p.Long.CacheWriteUSD)
	}
	return fields
}

// With returns a table in which the entries of over replace those of the same
// name in t. Names in t that over's patterns match are not removed: an exact
// name goes before a pattern.
func (t Table) With(over Table) Table {
	merged := maps.Clone(t.models)
	if merged == nil {
		merged = map[string]Price{}
	}
	maps.Copy(merged, over.models)
	return Table{models: merged}
}

// snapshot matches what providers append to a model's name for a dated version.
var snapshot = regexp.MustCompile(`^[-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3}|\d{4}|latest)$`)

// Lookup returns the price of the model PROVIDER/NAME, by the first rule that
// fits: an entry of exactly this name; an entry whose name, with a dated
// version's suffix (-20250514, -2024-07-18, @20250514, -002, -0613, -latest), is
// this name; of the entries that end in *, the longest whose beginning this name
// has.
func (t Table) Lookup(name string) (Price, bool) {
	if p, ok := t.models[name]; ok {
		return p, true
	}
	for id, p := range t.models {
		if rest, ok := strings.CutPrefix(name, id); ok && snapshot.MatchString(rest) {
			return p, true
		}
	}
	best := ""
	for id := range t.models {
		prefix, isPattern := strings.CutSuffix(id, "*")
		if isPattern && strings.HasPrefix(name, prefix) && len(id) > len(best) {
			best = id
		}
	}
	p, ok := t.models[best]
	return p, ok && best != ""
}

// Cost implements [model.Pricer].
func (t Table) Cost(name string, u model.Usage) (usd float64, known bool) {
	p, ok := t.Lookup(name)
	if !ok {
		return 0, false
	}
	return p.Cost(u), true
}

// Names returns the names in the table, sorted.
func (t Table) Names() []string { return slices.Sorted(maps.Keys(t.models)) }

// EnvVar names a price table that extends the one that ships.
const EnvVar = "MLGYM_PRICES"

// ForUser returns the table that ships, extended by the user's: first
// mlgym/prices.yaml in the user's configuration folder where it is there, then
// the file that $MLGYM_PRICES names, then file (of a flag) where it is not
// empty. Later ones win.
func ForUser(file string) (Table, error) {
	table, err := Default()
	if err != nil {
		return Table{}, err
	}
	var paths []string
	if dir, err := os.UserConfigDir(); err == nil {
		path := filepath.Join(dir, "mlgym", "prices.yaml")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			paths = append(paths, path)
		}
	}
	for _, path := range []string{os.Getenv(EnvVar), file} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		more, err := Load(path)
		if err != nil {
			return Table{}, err
		}
		table = table.With(more)
	}
	return table, nil
}

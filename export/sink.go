package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"mlgym/internal/nearest"
)

// Encoding is how lines become a file.
type Encoding string

// The encodings. The zero value is JSONL.
const (
	JSONL   Encoding = "jsonl"
	Parquet Encoding = "parquet"
)

// ParseEncoding reads the name of an encoding. Where it is empty the file's name
// decides: .parquet is Parquet, and everything else, "" too, JSON Lines.
func ParseEncoding(name, file string) (Encoding, error) {
	switch Encoding(name) {
	case JSONL, Parquet:
		return Encoding(name), nil
	case "":
		if filepath.Ext(file) == ".parquet" {
			return Parquet, nil
		}
		return JSONL, nil
	}
	known := []string{string(JSONL), string(Parquet)}
	return "", fmt.Errorf("unknown encoding %q%s (one of %v)", name, nearest.Hint(name, known), known)
}

// ErrNoParquet says that a format is not written as Parquet.
var ErrNoParquet = errors.New("atif is written as JSON Lines only: what its steps hold differs from one to the next, and what reads it reads JSON")

// sink takes the lines of one format.
type sink interface {
	put(line any) error
	// close ends the file; what it ends is not closed.
	close() error
}

func newSink(w io.Writer, o Options) (sink, error) {
	switch o.Encoding {
	case "", JSONL:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return jsonl{enc}, nil
	case Parquet:
	default:
		return nil, fmt.Errorf("unknown encoding %q", o.Encoding)
	}
	switch o.Format {
	case SFT:
		return newColumns[sftLine](w), nil
	case DPO:
		return newColumns[pairLine](w), nil
	case OpenAIMessages:
		return newColumns[requestLine](w), nil
	case Transitions:
		return newColumns[transition](w), nil
	case Turns:
		return newColumns[turnLine](w), nil
	case ATIF:
		return nil, ErrNoParquet
	}
	return nil, fmt.Errorf("unknown format %q", o.Format)
}

type jsonl struct{ enc *json.Encoder }

func (s jsonl) put(line any) error { return s.enc.Encode(line) }

func (s jsonl) close() error { return nil }

// rowGroupBytes is how much is gathered before it is written: readers take a row
// group at a time, and all of one is in memory while it is written.
const rowGroupBytes = 16 << 20

// columns writes lines of type L as Parquet.
type columns[L any] struct {
	w    *parquet.GenericWriter[L]
	then int64 // size of the file when its last row group ended
}

func newColumns[L any](w io.Writer) *columns[L] {
	options := []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("mlgym", "", ""),
		// The least and the greatest text of each page would stand in its head, whole
		// and not compressed: most of the file, where texts are long.
		parquet.DataPageStatistics(false),
	}
	schema := parquet.SchemaOf(new(L))
	for _, path := range schema.Columns() {
		if leaf, ok := schema.Lookup(path...); ok && leaf.Node.Type().Kind() == parquet.ByteArray {
			options = append(options, parquet.SkipPageBounds(path...)) // and in the file's end
		}
	}
	return &columns[L]{w: parquet.NewGenericWriter[L](w, options...)}
}

func (c *columns[L]) put(line any) error {
	row, ok := line.(L)
	if !ok {
		return fmt.Errorf("a line of type %T, want %T", line, row)
	}
	if _, err := c.w.Write([]L{row}); err != nil {
		return err
	}
	if c.w.Size()-c.then < rowGroupBytes {
		return nil
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	c.then = c.w.Size()
	return nil
}

func (c *columns[L]) close() error { return c.w.Close() }

package export

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestRowGroupsAreBounded writes texts that do not compress, more than a row group
// holds: it has to be cut into several, or the memory would grow with the file. The
// file is not much larger than the texts, so they stand in it once.
func TestRowGroupsAreBounded(t *testing.T) {
	const rows, size = 20, 1 << 20
	random := rand.NewChaCha8([32]byte{})
	text := make([]byte, size)
	var file bytes.Buffer
	c := newColumns[transition](&file)
	for range rows {
		_, _ = random.Read(text) // it never fails
		if err := c.put(transition{Thought: string(text)}); err != nil {
			t.Fatal(err)
		}
	}
	before := file.Len()
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if groups := len(f.RowGroups()); f.NumRows() != rows || groups != 2 {
		t.Errorf("%d rows in %d row groups, want %d in 2 of 16 MB at most", f.NumRows(), groups, rows)
	}
	if before < file.Len()/2 || file.Len() > rows*size+rows*size/10 {
		t.Errorf("%d bytes were written before the end, and %d in all, for %d of text", before, file.Len(), rows*size)
	}
	if err := c.put("a text"); err == nil {
		t.Error("a line of another format is taken")
	}
}

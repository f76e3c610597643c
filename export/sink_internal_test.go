package export

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestRowGroupsAreBounded writes more than a row group holds: it has to be cut into
// several, or the memory would grow with the file.
func TestRowGroupsAreBounded(t *testing.T) {
	const rows = 40
	var file bytes.Buffer
	c := newColumns[transition](&file)
	for range rows {
		if err := c.put(transition{Thought: strings.Repeat("x", 1<<20)}); err != nil {
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
	if groups := len(f.RowGroups()); f.NumRows() != rows || groups != 3 {
		t.Errorf("%d rows in %d row groups, want %d in 3 of 16 MB at most", f.NumRows(), groups, rows)
	}
	if before == 0 {
		t.Error("nothing was written before the end")
	}
	if err := c.put("a text"); err == nil {
		t.Error("a line of another format is taken")
	}
}

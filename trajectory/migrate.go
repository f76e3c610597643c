package trajectory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// migration turns one line of a version into one line of the next version.
// The header line must come out with the next version number.
type migration func(line []byte) ([]byte, error)

// migrations returns the way from each version to the next: element i leads
// from version i+1 to version i+2. A change that an old reader cannot ignore
// raises [Version], adds a migration here and a golden file to testdata, and
// leaves the older golden files where they are.
func migrations() []migration {
	return nil // version 1 is the first
}

// Migrate copies a record of any known version, writing the current one. It
// returns the version it found. A torn last line is not copied.
func Migrate(dst io.Writer, src io.Reader) (from int, err error) {
	r := NewReader(src)
	enc := json.NewEncoder(dst)
	enc.SetEscapeHTML(false)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r.version, err
		}
		if err := enc.Encode(e); err != nil {
			return r.version, fmt.Errorf("write the migrated record: %w", err)
		}
	}
	if r.seq == 0 {
		return 0, &CorruptError{Line: 1, Reason: "there is no header"}
	}
	return r.version, nil
}

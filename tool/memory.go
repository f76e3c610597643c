package tool

import (
	"encoding/json"
	"fmt"
	"path/filepath"
)

// memory is what a [Session] remembers, as it is saved. Paths are bytes, since
// they need not be text.
type memory struct {
	File    []byte `json:"file,omitempty"`
	First   int    `json:"first,omitempty"`
	Last    int    `json:"last,omitempty"`
	Total   int    `json:"total,omitempty"`
	Scrolls int    `json:"scrolls,omitempty"`
}

// Save returns what the session remembers (the open file, the window, the
// scrolls in a row), for Load of another session with the same options.
func (r *Session) Save() ([]byte, error) {
	return json.Marshal(memory{[]byte(r.file), r.view.first, r.view.last, r.view.total, r.scrolls})
}

// Load makes the session remember what Save returned. It refuses what no session
// can have saved, and is as before then.
func (r *Session) Load(saved []byte) error {
	var m memory
	if err := json.Unmarshal(saved, &m); err != nil {
		return fmt.Errorf("the tools' memory: %w", err)
	}
	file := string(m.File)
	const most = 1 << 40 // lines; sums of them do not overflow
	switch {
	case file != "" && (!filepath.IsAbs(file) || filepath.Clean(file) != file):
		return fmt.Errorf("the tools' memory: the open file %.200q is no clean absolute path", file)
	case m.First < 0, m.Last < 0, m.Total < 0, m.Scrolls < 0,
		m.First > most, m.Last > m.Total, m.Total > most, m.First > m.Last+1, m.Scrolls > most:
		return fmt.Errorf("the tools' memory: lines %d to %d of %d, %d scrolls", m.First, m.Last, m.Total, m.Scrolls)
	}
	r.file, r.view, r.scrolls = file, view{m.First, m.Last, m.Total}, m.Scrolls
	return nil
}
